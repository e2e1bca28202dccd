"""``.torchxconfig`` as an ``xrun.toml``: what can be said here is said, the rest becomes comments with the reason.

TorchX's file is an INI file: ``[<scheduler>]``, ``[component:<name>]``, ``[cli:run]``, ``[cli:list]``,
``[torchx:tracker]``, ``[tracker:<name>]``; a list is ``a;b``, a dict ``k:v;k2:v2``, None the word ``None``
(https://meta-pytorch.org/torchx/latest/runner.config.html).
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

from xrun import schedulers
from xrun.errors import InvalidConfig, InvalidValue, UnknownName, UsageError
from xrun.runner.config.tables import RUN
from xrun.runner.config.template import key_text, value_text
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.options import runopts
from xrun.specs.values import decode

_NAMES = {"slurm": {"job_dir": "job_root", "mail-user": "mail_user", "mail-type": "mail_type"}}
"""TorchX's options of a scheduler that have another name here."""


def convert(path: Path) -> str:
    """The text of an ``xrun.toml`` that says what a ``.torchxconfig`` says.

    Raises:
        InvalidConfig: it can't be read or is no INI file.
    """
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys keep their case
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except OSError as error:
        raise InvalidConfig(f"{path}: can't be read: {error.strerror}") from error
    except (Error, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{path}: not a .torchxconfig: {' '.join(str(error).split())}") from error
    parts = [f"# From {path.name}; what has no place here stands as a comment.\n"]
    parts += ["\n".join(_section(name, parser[name])) + "\n" for name in parser.sections()]
    return "\n".join(parts)


def _section(name: str, entries: Mapping[str, str]) -> Iterator[str]:
    kind, _, rest = name.partition(":")
    if name == "cli:run":
        yield from _run(entries)
    elif kind == "component" and rest:
        yield from _component(rest, entries)
    elif ":" in name:
        yield from _comments(name, entries, "xrun has no such table")
    else:
        yield from _scheduler(name, entries)


def _run(entries: Mapping[str, str]) -> Iterator[str]:
    yield "[run]"
    for key, text in entries.items():
        if key not in RUN:
            yield _comment(key, text, f"give --{key.replace('_', '-')} on the command line")
        elif key == "scheduler":
            name = schedulers.own_name(text)
            yield _entry(key, name) if name in schedulers.scheduler_names() else _comment(key, name, "not there yet")
        else:
            yield _entry(key, text.removeprefix("file://"))


def _component(name: str, entries: Mapping[str, str]) -> Iterator[str]:
    from xrun.components import finder

    try:
        known = {p.name: p.hint for p in finder.find(name).parameters if not p.variadic}
    except UsageError as error:
        yield from _comments(f"components.{key_text(name)}", entries, str(error))
        return
    yield f"[components.{key_text(name)}]"
    yield from _typed(entries, known)


def _scheduler(name: str, entries: Mapping[str, str]) -> Iterator[str]:
    own = schedulers.own_name(name)
    try:
        options = schedulers.create_scheduler(own, DEFAULT_SESSION).run_opts()
    except UnknownName:
        yield from _comments(f"schedulers.{key_text(own)}", entries, f"this xrun has no scheduler {own}")
        return
    yield f"[schedulers.{key_text(own)}]"
    names = _NAMES.get(own, {})
    yield from _typed({names.get(key, key): text for key, text in entries.items()}, _hints(options))


def _typed(entries: Mapping[str, str], hints: Mapping[str, Any]) -> Iterator[str]:
    for key, text in entries.items():
        if key not in hints:
            yield _comment(key, text, "no such option here")
        elif text == "None":
            yield _comment(key, text, "left out: none is the default")
        else:
            try:
                yield _entry(key, decode(_respelled(text, hints[key]), hints[key]))
            except InvalidValue as error:
                yield _comment(key, text, str(error))


def _respelled(text: str, hint: Any) -> str:
    """TorchX's ``a;b`` and ``k:v`` as our ``a,b`` and ``k=v``."""
    kinds = {typing.get_origin(h) or h for h in (hint, *typing.get_args(hint))}
    if dict in kinds:
        return ",".join(re.sub(r"^([^:=]+):", r"\1=", pair) for pair in re.split(r"[;,]", text))
    return text.replace(";", ",") if list in kinds else text


def _entry(key: str, value: Any) -> str:
    return f"{key_text(key)} = {value_text(value)}"


def _comment(key: str, text: str, reason: str) -> str:
    return f"# {key} = {value_text(text)}  # {' '.join(reason.split())}"


def _comments(table: str, entries: Mapping[str, str], reason: str) -> Iterator[str]:
    yield f"# [{table}]  # {' '.join(reason.split())}"
    yield from (f"# {key} = {value_text(text)}" for key, text in entries.items())


def _hints(options: runopts) -> dict[str, Any]:
    return {name: option.type_ for name, option in options}
