"""The text of a new file: every entry there is, commented out, with its default and what it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xrun import schedulers
from xrun.runner.config.tables import RunTable
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.options import runopt
from xrun.specs.values import describe_type

_HEAD = """\
# Configuration of xrun. The file nearest to the working directory wins, entry by entry; then the user's own.
# The command line and the environment (XRUN_SCHEDULER, XRUN_PROFILE, XRUN_WORKSPACE, XRUN_CFG) win over all files.
# Any value may come from the environment: key = { env = "NAME" }, or { env = "NAME", default = 1 }.
# `xrun doctor` checks this file. `xrun configure --schema` prints its JSON Schema, with which editors complete it.
"""

_TAIL = """\
# Defaults of a component's options, by the name that is typed.
# [components."dist.ddp"]
# j = "1x2"

# A resource that components take by name: -h box
# [named_resources.box]
# cpu = 32
# gpu = 4
# memMB = 131072

# What applies beside the above with --profile prod, whose jobs are SCHEDULER://prod/...
# [profiles.prod.run]
# scheduler = "local"
"""


def template(names: Sequence[str]) -> str:
    """A file with the tables of some schedulers; as it stands it changes nothing.

    Args:
        names: the schedulers.

    Raises:
        UnknownName: there is no such scheduler.
    """
    parts = [_HEAD, _table("run", _run_lines(schedulers.own_name(names[0])))]
    for name in names:
        scheduler = schedulers.create_scheduler(name, DEFAULT_SESSION)
        parts.append(_table(f"schedulers.{scheduler.name}", (_option_line(o) for _, o in scheduler.run_opts())))
        scheduler.close()
    return "\n".join([*parts, _TAIL])


def value_text(value: Any) -> str:
    """A value as TOML writes it on one line."""
    import tomlkit

    if isinstance(value, dict):
        return "{" + ", ".join(f"{key_text(key)} = {value_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return str(tomlkit.item(value).as_string())


def key_text(*keys: str) -> str:
    """Keys as TOML writes them, quoted where they must be."""
    import tomlkit

    return ".".join(tomlkit.key([key]).as_string() for key in keys)


def _table(name: str, lines: Iterable[str]) -> str:
    return "\n".join([f"[{name}]", *lines, ""])


def _run_lines(scheduler: str) -> list[str]:
    from xrun.specs.schema import object_schema

    shown = {"component": "utils.echo", "scheduler": scheduler, "workspace": ".", "profile": "prod"}
    entries = object_schema(RunTable)["properties"]
    texts = {key: entry["description"].replace("``", "'").rstrip(".") for key, entry in entries.items()}
    return [f"# {key} = {value_text(value)}  # {texts[key]}" for key, value in shown.items()]


def _option_line(option: runopt) -> str:
    note = "required: " if option.is_required else ""
    default = "" if option.default is None else option.default
    return f"# {option.name} = {value_text(default)}  # {note}{option.help} [{describe_type(option.type_)}]"
