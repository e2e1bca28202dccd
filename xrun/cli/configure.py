"""``xrun configure``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from xrun import schedulers
from xrun.cli import output
from xrun.errors import InvalidConfig, UsageError

_EXISTS = "XR066"


@click.command(short_help="Write a configuration file.")
@click.option("-s", "--scheduler", "names", multiple=True, metavar="NAME", help="A scheduler to write a table for.")
@click.option("--print", "print_", is_flag=True, help="Print the file instead.")
@click.option("--user", is_flag=True, help="Write the user's file, which applies everywhere.")
@click.option("--from-torchx", metavar="FILE", help="Convert a .torchxconfig.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file, installed plugins included.")
def configure(names: tuple[str, ...], print_: bool, user: bool, from_torchx: str | None, schema: bool) -> int:
    """Write xrun.toml here, with every entry there is, commented out.

    A file that is there is never overwritten.

    \b
    xrun configure -s local
    xrun configure --from-torchx .torchxconfig --print
    xrun configure --schema > xrun.schema.json
    """  # noqa: D301 - click wants the character
    if schema:
        if names or print_ or user or from_torchx is not None:
            raise UsageError("--schema goes with no other option")
        from xrun.runner.config.schema import config_schema

        output.answer_json(config_schema(with_plugins=True))
        return 0
    text = _text(names, from_torchx)
    if print_:
        output.answer(text.rstrip("\n"))
        return 0
    path = _path(user)
    try:
        _write_new(path, text)
    except FileExistsError:
        raise InvalidConfig(f"{path} is there already and stays as it is; --print shows the new one", _EXISTS) from None
    except OSError as error:
        raise InvalidConfig(f"{path}: can't be written: {error.strerror}") from error
    output.answer(str(path))
    return 0


def _write_new(path: Path, text: str) -> None:
    """All of a file or none of it; one that is there stays.

    Raises:
        OSError: it is there, or can't be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _text(names: tuple[str, ...], from_torchx: str | None) -> str:
    if from_torchx is None:
        from xrun.runner.config.template import template

        return template([name for text in names for name in text.split(",")] or [schedulers.DEFAULT_SCHEDULER])
    if names:
        raise UsageError("--from-torchx takes the schedulers from its file; leave -s out")
    from xrun.runner.config.torchx import convert

    return convert(Path(from_torchx))


def _path(user: bool) -> Path:
    from xrun.runner.config import files

    if not user:
        return Path(files.FILE)
    path = files.user_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidConfig(f"{path.parent}: can't be made: {error.strerror}") from error
    return path
