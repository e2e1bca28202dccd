"""Writes the parts of docs/ that follow from the code: `.venv/bin/python scripts/reference.py`.

A page holds them between two comments; what is around them is written by hand. A test says when a page is out of date.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import docstring_parser

from xrun.cli import answers
from xrun.cli.main import VERBS, cli
from xrun.runner.job import Job

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- written by scripts/reference.py: {} -->", "<!-- end -->"


def main() -> None:
    """Writes every page anew."""
    for page in PAGES:
        path = DOCS / page
        text = path.read_text()
        new = updated(page, text)
        if new != text:
            path.write_text(new)
            sys.stderr.write(f"{path} written\n")


def updated(page: str, text: str) -> str:
    """A page with its parts as they follow from the code of today."""
    for name, part in PAGES[page].items():
        begin = BEGIN.format(name)
        pattern = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(END)}", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{page}: {begin} and {END} belong into it once")
        body = "\n".join(part())
        text = pattern.sub(lambda _, body=body, begin=begin: f"{begin}\n\n{body}\n{END}", text)  # type: ignore[misc]
    return text


# --- the command line ----------------------------------------------------------------------------------------------


def verbs() -> Iterator[str]:
    """A section for each verb."""
    for name in VERBS:
        yield from verb(name)


def verb(name: str) -> Iterator[str]:
    """Usage, text, examples and options of one verb."""
    group = click.Context(cli, info_name="xrun")
    command = cli.get_command(group, name)
    assert command
    context = click.Context(command, info_name=name, parent=group)
    usage = " ".join([f"xrun {name}", *command.collect_usage_pieces(context)])
    yield f"## xrun {name}\n"
    yield f"```text\nUsage: {usage}\n```\n"
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    for paragraph in paragraphs:
        if paragraph.startswith("\b"):
            lines = [line.strip() for line in paragraph.splitlines()[1:]]
            yield from (f"- {plain(line)}" if line.endswith(":") else f"- `{line}`" for line in lines)
            yield ""
        else:
            yield f"{plain(paragraph)}\n"
    shown = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if shown:
        yield "| option | meaning |\n|---|---|"
        yield from (option(context, p) for p in shown)
        yield ""


def option(context: click.Context, parameter: click.Option) -> str:
    """A row of a verb's table."""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    kind = "" if parameter.is_flag else f" `{parameter.make_metavar(context)}`"
    notes = ["may be given more than once"] if parameter.multiple else []
    if not parameter.is_flag and isinstance(parameter.default, (str, int, float)):
        notes.append(f"default: {parameter.default}")
    return cell(f"{names}{kind}", (parameter.help or "") + (f" ({'; '.join(notes)})" if notes else ""))


# --- JSON ----------------------------------------------------------------------------------------------------------


def shapes() -> Iterator[str]:
    """A section for each answer, and after them the shapes that stand inside."""
    names = {shape: name for name, shape in answers.ANSWERS.items()}
    for shape in list(names):
        names |= {part: part.__name__ for part in parts(shape) if part not in names}
    for shape, name in names.items():
        yield f"### {name}\n"
        yield from fields(shape)


def parts(hint: Any) -> Iterator[type]:
    """The shapes that stand inside a type, at any depth."""
    inside = typing.get_type_hints(hint).values() if typing.is_typeddict(hint) else typing.get_args(hint)
    for one in inside:
        if typing.is_typeddict(one):
            yield one
        yield from parts(one)


def job() -> Iterator[str]:
    """The keys of a job on stdin."""
    yield from fields(Job)


def fields(shape: type) -> Iterator[str]:
    """The text of a shape and a table of its keys."""
    doc = docstring_parser.parse(inspect.getdoc(shape) or "")
    meanings = {p.arg_name: " ".join((p.description or "").split()) for p in doc.params}
    hints = typing.get_type_hints(shape)
    names = [f.name for f in dataclasses.fields(shape)] if dataclasses.is_dataclass(shape) else list(hints)
    yield f"{plain(doc.short_description or '')}\n"
    yield "| key | type | meaning |\n|---|---|---|"
    for name in names:
        yield cell(f"`{name}`", kind(hints[name]), meanings[name])
    yield ""


def kind(hint: Any) -> str:
    """A type as JSON has it."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint == answers.StateName:
        return "name of a state"
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin is list:
        return f"list of {kind(inside[0])}"
    if origin is dict:
        return f"object of {kind(inside[1])}"
    if inside:
        return " or ".join(dict.fromkeys(map(kind, inside)))
    if typing.is_typeddict(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null", Any: "any"}.get(
        hint, "object"
    )


def cell(*texts: str) -> str:
    """A row of a table; what would end a cell is escaped."""
    return "| " + " | ".join(plain(text).replace("|", "\\|") for text in texts) + " |"


def plain(text: str) -> str:
    """A text on one line, with nothing in it that would be read as HTML."""
    return " ".join(text.split()).replace("<", "\\<")


PAGES: dict[str, dict[str, Callable[[], Iterator[str]]]] = {
    "command-line.md": {"verbs": verbs},
    "json.md": {"answers": shapes, "job": job},
}

if __name__ == "__main__":
    main()
