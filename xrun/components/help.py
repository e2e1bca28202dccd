"""What a component's docstring and signature say to a person."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from xrun.components.command_line import is_bool, spelling
from xrun.specs.values import describe_type

if TYPE_CHECKING:
    from xrun.components.finder import Component
    from xrun.components.signature import Parameter

_MAX_COLUMN = 30


@dataclass(frozen=True)
class Description:
    """A docstring in parts.

    Attributes:
        short: its first line.
        long: its text, without ``Args:`` and the like.
        parameters: parameter name -> what it is for.
        error: why it could not be parsed; empty if it was.
    """

    short: str
    long: str
    parameters: Mapping[str, str]
    error: str = ""


@lru_cache(maxsize=1024)
def describe(function: Callable[..., Any]) -> Description:
    """Parses a Google style docstring; one that is malformed is shown as it is."""
    import docstring_parser

    text = inspect.getdoc(function) or ""
    try:
        doc = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)
    except docstring_parser.ParseError as error:
        first, _, rest = text.partition("\n")
        return Description(first, rest.strip("\n"), {}, str(error))
    found = {p.arg_name.lstrip("*"): " ".join((p.description or "").split()) for p in doc.params}
    return Description(doc.short_description or "", doc.long_description or "", found)


def format_help(component: Component, width: int | None = None) -> str:
    """The help text of a component.

    Args:
        component: whose help.
        width: columns (default: the terminal's, at most 100).
    """
    width = width or min(shutil.get_terminal_size().columns, 100)
    variadic = next((p for p in component.parameters if p.variadic), None)
    rest = f" [[--] {variadic.name.upper()}...]" if variadic else ""
    doc = describe(component.fn)
    parts = [f"Usage: xrun {component.name} [OPTIONS]{rest}"]
    parts += [_paragraph(text, width) for text in (doc.short, *doc.long.split("\n\n")) if text]
    options = [(_option(p), _explain(p)) for p in component.parameters if not p.variadic]
    parts.append(_table("Options:", [*options, ("--help", "Show this message and exit.")], width))
    if variadic:
        parts.append(_table("Arguments:", [(f"{variadic.name.upper()}...", variadic.help)], width))
    return "\n\n".join(parts) + "\n"


def _paragraph(text: str, width: int) -> str:
    """Prose filled to the width; a paragraph with an indented line, such as an example, stays as it is."""
    if any(line.startswith(" ") for line in text.splitlines()):
        return textwrap.indent(text, "  ")
    return textwrap.fill(text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _table(title: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    """Two columns; the second begins on a line of its own below an entry that is too long for the first."""
    column = 2 + max(len(left) for left, _ in rows if len(left) <= _MAX_COLUMN)
    lines = [title]
    for left, right in rows:
        filled = textwrap.wrap(right, max(width - column - 2, 20), break_on_hyphens=False)
        if len(left) > _MAX_COLUMN or not filled:
            lines.append(f"  {left}")
        else:
            lines.append(f"  {left:<{column}}{filled.pop(0)}")
        lines += [f"  {'':<{column}}{line}" for line in filled]
    return "\n".join(lines)


def _option(parameter: Parameter) -> str:
    name = spelling(parameter.name)
    if is_bool(parameter.hint):
        return f"{name} / --no-{parameter.name.replace('_', '-')}"
    return f"{name} {describe_type(parameter.hint)}"


def _explain(parameter: Parameter) -> str:
    note = "[required]" if parameter.required else _default(parameter)
    return f"{parameter.help}  {note}".strip()


def _default(parameter: Parameter) -> str:
    value = parameter.default
    # None, "" and an empty collection are said in the help itself, if they mean anything; a flag is off
    if value is None or value is False or (isinstance(value, (str, list, tuple, dict)) and not value):
        return ""
    if value is True:
        return "[default: yes]"
    if isinstance(value, Enum):
        value = value.name
    elif isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    elif isinstance(value, dict):
        value = ",".join(f"{k}={v}" for k, v in value.items())
    return f"[default: {value}]"
