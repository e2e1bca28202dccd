"""``xrun.toml``, or ``[tool.xrun]`` of ``pyproject.toml``: found from the working directory upward, then the user's.

For now it holds named resources::

    [named_resources.box]
    cpu = 32
    gpu = 4
    memMB = 131072
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xrun.errors import InvalidValue
from xrun.specs.resources import Resource
from xrun.specs.serialize import from_plain

FILE = "xrun.toml"


def named_resources() -> dict[str, Resource]:
    """The named resources of every configuration file that applies; the nearer file wins.

    Raises:
        InvalidValue: a file is not TOML, or a table in it is wrong; the message names both.
    """
    found: dict[str, Resource] = {}
    for path, table in _tables():
        resources = table.get("named_resources", {})
        if not isinstance(resources, dict):
            raise InvalidValue(f"{path}: named_resources must be tables, as in [named_resources.box]")
        for name, values in resources.items():
            if name not in found:
                found[name] = from_plain(Resource, values, f"{path}: named_resources.{name}")
    return found


def _tables() -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in (Path.cwd(), *Path.cwd().parents):
        for path, keys in ((folder / FILE, ()), (folder / "pyproject.toml", ("tool", "xrun"))):
            table = _read(path, keys)
            if table is not None:
                yield path, table
    from platformdirs import user_config_path

    path = user_config_path("xrun") / FILE
    table = _read(path, ())
    if table is not None:
        yield path, table


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    import tomllib

    if not os.path.isfile(path):
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if keys:
            return None  # somebody else's file
        raise InvalidValue(f"{path}: {error}") from error
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        raise InvalidValue(f"{path}: [{'.'.join(keys)}] must be a table")
    return table or None
