"""The files that apply here: found from the working directory upward, then the user's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xrun.errors import InvalidConfig
from xrun.schedulers.home import config_folder

FILE = "xrun.toml"
VARIABLE = "XRUN_CONFIG"
"""Names the one file to read instead of all that would be found; empty for none."""

_UNREADABLE, _NO_FILE, _WRONG_TYPE = "XR060", "XR065", "XR062"
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")


@dataclass(frozen=True, eq=False)
class ConfigFile:
    """One file.

    Attributes:
        path: where it is.
        text: what stands in it.
        table: our part of it.
        prefix: the keys that lead to that part; ``("tool", "xrun")`` in pyproject.toml.
    """

    path: Path
    text: str
    table: dict[str, Any]
    prefix: tuple[str, ...] = ()

    def error(self, at: Sequence[str], message: str, code: str) -> InvalidConfig:
        """The error that names this file and the line of an entry.

        Args:
            at: the entry.
            message: what is wrong with it.
            code: the error's code.
        """
        return _error(self.path, line_of(self.text, (*self.prefix, *at)), message, code)


def find() -> Iterator[ConfigFile]:
    """The files that apply, the nearest first.

    Raises:
        InvalidConfig: one can't be read or is not TOML.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        if given and not os.path.isfile(given):
            raise InvalidConfig(f"{given}: {VARIABLE} names it, and it is no file", code=_NO_FILE)
        if given:
            yield _read(Path(given))
        return
    here = _working_directory()
    for folder in (here, *here.parents) if here else ():
        for path, prefix in ((folder / FILE, ()), (folder / "pyproject.toml", ("tool", "xrun"))):
            if _is_there(path, prefix) and (found := _read(path, prefix)).table:
                yield found
    path = user_file()
    if _is_there(path):
        yield _read(path)


def user_file() -> Path:
    """Where the user's own file is or would be."""
    return Path(config_folder(), FILE)


def line_of(text: str, at: Sequence[str]) -> int:
    """The line on which the statement of an entry begins, from 1; 1 if the text has no such entry.

    It is the first that must be read for the entry to be there. A text can be cut after a statement and parsed, and not
    within one, so no parser of our own is needed; only errors ask, so the time is of no matter.
    """
    lines = text.split("\n")
    lacking, having = 0, len(lines)
    while (middle := _parsed_near(lines, lacking, having)) is not None:
        cut, table = middle
        if _has(table, at):
            having = cut
        else:
            lacking = cut
    return min(lacking + 1, len(lines))


def _parsed_near(lines: list[str], low: int, high: int) -> tuple[int, Any] | None:
    """The number of lines between two others, as near to the middle as can be, after which the text can be cut."""
    import tomllib

    middle = (low + high) // 2
    for cut in sorted(range(low + 1, high), key=lambda n: abs(n - middle)):
        try:
            return cut, tomllib.loads("\n".join(lines[:cut]) + "\n")
        except (ValueError, RecursionError):
            continue
    return None


def _has(table: Any, at: Sequence[str]) -> bool:
    for key in at:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _is_there(path: Path, prefix: tuple[str, ...] = ()) -> bool:
    """Whether there is a file; what has our name and is none must not be passed over in silence.

    Raises:
        InvalidConfig: it is a folder, a link that leads nowhere, or the like.
    """
    if os.path.isfile(path):
        return True
    if not prefix and os.path.lexists(path):
        raise _error(path, 0, "is no regular file, and no link to one", _UNREADABLE)
    return False


def _read(path: Path, prefix: tuple[str, ...] = ()) -> ConfigFile:
    try:
        data = path.read_bytes()
    except OSError as error:
        if prefix:
            return ConfigFile(path, "", {}, prefix)  # somebody else's file
        raise _error(path, 0, f"can't be read: {error.strerror}", _UNREADABLE) from error
    if prefix and prefix[-1].encode() not in data:
        return ConfigFile(path, "", {}, prefix)  # parsing costs more than starting
    import tomllib

    try:
        text = data.decode("utf-8-sig")  # some editors begin a file with a mark
        table: Any = tomllib.loads(text)
    except RecursionError as error:
        raise _error(path, 1, "it is nested too deeply", _UNREADABLE) from error
    except ValueError as error:
        raise _not_toml(path, data, error) from error
    for depth, key in enumerate(prefix, 1):
        table = table.get(key, {})
        if not isinstance(table, dict):
            name, line = ".".join(prefix[:depth]), line_of(text, prefix[:depth])
            raise _error(path, line, f"{name} must be a table", _WRONG_TYPE)
    return ConfigFile(path, text, table, prefix)


def _not_toml(path: Path, data: bytes, error: ValueError) -> InvalidConfig:
    if isinstance(error, UnicodeDecodeError):
        return _error(path, data[: error.start].count(b"\n") + 1, "not TOML: it is not UTF-8", _UNREADABLE)
    place = _AT_LINE.search(str(error))
    line = int(place[1]) if place else data.count(b"\n") + 1
    return _error(path, line, f"not TOML: {_AT_LINE.sub('', str(error)).strip()}", _UNREADABLE)


def _error(path: Path, line: int, message: str, code: str) -> InvalidConfig:
    here = _working_directory()
    shown = path.relative_to(here) if here and path.is_relative_to(here) else path
    return InvalidConfig(f"{shown}:{line}: {message}" if line else f"{shown}: {message}", code=code)


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None
