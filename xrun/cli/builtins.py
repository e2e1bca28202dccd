"""``xrun builtins``."""

from __future__ import annotations

import click

from xrun.cli import output


@click.command(short_help="List components, or show one.")
@click.option("--print", "print_", metavar="COMPONENT", help="Print the source of a component.")
def builtins(print_: str | None) -> int:
    """List the components that can be run by name: ours, and those of installed plugins.

    \b
    xrun builtins
    xrun builtins --print dist.ddp
    xrun dist.ddp --help
    """  # noqa: D301 - click wants the character
    from xrun.components import finder

    if print_ is not None:
        output.answer(finder.find(print_).source.rstrip("\n"))
        return 0
    output.table(["COMPONENT", "WHAT IT DOES"], [list(row) for row in finder.list_components()])
    return 0
