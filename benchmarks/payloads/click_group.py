"""The floor of a command line's start: a click group of 14 verbs that shows its help."""

from __future__ import annotations

import click

VERBS = ["run", "render", "check", "status", "wait", "log", "list"]
VERBS += ["describe", "cancel", "delete", "builtins", "runopts", "configure", "doctor"]


class Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return VERBS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return click.Command(cmd_name, help=f"What {cmd_name} does.") if cmd_name in VERBS else None


@click.command(cls=Group)
def main() -> None:
    """One job description, any cluster."""


if __name__ == "__main__":
    main()
