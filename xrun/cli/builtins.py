"""``xrun builtins``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xrun.cli import output
from xrun.errors import UsageError, suggestion

if TYPE_CHECKING:
    from xrun.cli.answers_here import BuiltinsAnswer


@click.command(short_help="List components, or show one.")
@click.option("--print", "print_", metavar="COMPONENT", help="Print the source of a component.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("prefix", required=False, default="")
def builtins(print_: str | None, json_: bool, prefix: str) -> int:
    """List the components that can be run by name, or those whose names begin with PREFIX: ours and the plugins'.

    \b
    xrun builtins
    xrun builtins dist.
    xrun builtins --print dist.ddp
    xrun dist.ddp --help
    """  # noqa: D301 - click wants the character
    from xrun import plugins
    from xrun.components import finder

    if print_ is not None:
        if json_ or prefix:
            raise UsageError("--print takes one component, and neither --json nor PREFIX")
        output.answer(finder.find(print_).source.rstrip("\n"))
        return 0
    known = finder.list_components()
    found = [row for row in known if row[0].startswith(prefix)]
    broken = plugins.broken(plugins.COMPONENTS)
    for plugin in broken:
        output.notice(str(plugin))
    if json_:
        answer: BuiltinsAnswer = {
            "version": 1,
            "components": [{"name": name, "summary": doc} for name, doc in found],
            "broken": [{"name": b.name, "reason": b.reason} for b in broken],
        }
        output.answer_json(answer)
        return 0
    output.table(["COMPONENT", "WHAT IT DOES"], [list(row) for row in found], prose=["WHAT IT DOES"])
    if not found:
        output.notice(f"no component begins with {prefix!r}{suggestion(prefix, [name for name, _ in known])}")
    return 0
