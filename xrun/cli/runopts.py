"""``xrun runopts [SCHEDULER...]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xrun import schedulers
from xrun.cli import output
from xrun.errors import XrunError
from xrun.specs.options import CommonOptions, runopt
from xrun.specs.options import runopts as Options  # noqa: N812 - the verb has that name

if TYPE_CHECKING:
    from xrun.cli.answers_here import BrokenAnswer, OptionAnswer, RunoptsAnswer

EVERY = "(every)"
"""What stands in place of a scheduler's name where an option is every scheduler's."""


@click.command(short_help="List the options of a scheduler.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("names", metavar="[SCHEDULER]...", nargs=-1)
def runopts(json_: bool, names: tuple[str, ...]) -> int:
    """List the options of SCHEDULER, or of every scheduler: those that -cfg and xrun.toml set.

    A line an option: whose, its name, type, default and help. What every scheduler has is listed once.

    \b
    xrun runopts
    xrun runopts local --json
    """  # noqa: D301 - click wants the character
    found, broken = _options(names)
    for plugin in broken:
        output.notice(f"scheduler {plugin['name']} can't be used: {plugin['reason']}")
    if json_:
        output.answer_json(_answer(found, broken))
        return 0
    common = dict(Options(CommonOptions))
    everybodys = {o.name for o in common.values() if all(options.get(o.name) == o for options in found.values())}
    rows = [_row(name, option) for name, options in found.items() for key, option in options if key not in everybodys]
    rows += [_row(EVERY, option) for key, option in common.items() if key in everybodys]
    output.table(["SCHEDULER", "OPTION", "TYPE", "DEFAULT", "WHAT IT IS"], rows, prose=["WHAT IT IS"])
    return 0


def _options(names: tuple[str, ...]) -> tuple[dict[str, Options], list[BrokenAnswer]]:
    """By scheduler; one that was not asked for by name may be broken."""
    found: dict[str, Options] = {}
    broken: list[BrokenAnswer] = []
    for name in [*map(schedulers.own_name, names)] or schedulers.scheduler_names():
        try:
            scheduler = schedulers.create_scheduler(name, "default")
        except XrunError as error:
            if names:
                raise
            broken.append({"name": name, "reason": str(error)})
            continue
        found[name] = scheduler.run_opts()
        scheduler.close()
    return found, broken


def _row(name: str, option: runopt) -> list[str]:
    default = "required" if option.is_required else _text(option.default)
    return [name, option.name, option.type_name, default, option.help]


def _text(value: Any) -> str:
    """A default as -cfg takes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(inner)}" for key, inner in value.items())
    return str(getattr(value, "name", value))


def _answer(found: dict[str, Options], broken: list[BrokenAnswer]) -> RunoptsAnswer:
    return {
        "version": 1,
        "schedulers": [
            {"scheduler": name, "options": [_option(option) for _, option in options]}
            for name, options in found.items()
        ],
        "broken": broken,
    }


def _option(option: runopt) -> OptionAnswer:
    from xrun.specs.serialize import to_plain

    return {
        "name": option.name,
        "type": option.type_name,
        "default": to_plain(option.default),
        "required": option.is_required,
        "common": option.name in CommonOptions.__dataclass_fields__,
        "help": option.help,
    }
