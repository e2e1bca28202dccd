"""``xrun explain [CODE]...``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click

from xrun.cli import output, terminal
from xrun.cli.explanations import Explanation, load
from xrun.errors import UnknownName

_CODE = re.compile(r"\[?(?:XR)?-?([0-9]{1,4})\]?", re.IGNORECASE)
_WIDEST = 100
"""Columns of a paragraph; longer lines are hard to read."""

_INDENT = "    "


@click.command(short_help="Explain an error by its code.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
def explain(json_: bool, codes: tuple[str, ...]) -> int:
    """Explain errors by the codes in their messages: what is wrong and why, an example, and how to mend it.

    Without a code: all codes there are.

    \b
    xrun explain XR012
    xrun explain 12 44
    xrun explain
    """  # noqa: D301 - click wants the character
    known = load()
    asked = [known[code] for code in dict.fromkeys(_read(text, known) for text in codes)] or list(known.values())
    if json_:
        fields = [entry._asdict() for entry in asked]
        output.answer_json({"version": 1, "codes": [{k: v for k, v in f.items() if k != "reason"} for f in fields]})
    elif codes:
        _show(asked)
    else:
        rows = [[entry.code, str(entry.exit), _plain(entry.title)] for entry in asked]
        output.table(["CODE", "EXIT", "WHAT IT MEANS"], rows, prose=["WHAT IT MEANS"])
    return 0


def _read(text: str, known: Iterable[str]) -> str:
    found = _CODE.fullmatch(text.strip())
    code = f"XR{int(found[1]):03}" if found else text
    if code not in known:
        raise UnknownName("error code", text, known, "xrun explain lists them all", code="XR070")
    return code


def _show(entries: Sequence[Explanation]) -> None:
    width = max(20, min(_WIDEST, terminal.size(1)[0]))
    lines = [line for i, entry in enumerate(entries) for line in ([("", "")] if i else []) + list(_lines(entry, width))]
    output.answer("\n".join(terminal.painted(text, colour) for text, colour in lines))


def _lines(entry: Explanation, width: int) -> Iterator[tuple[str, str]]:
    """(text, colour) of each line."""
    for line in textwrap.wrap(f"{entry.code}: {_plain(entry.title)} ({_exit(entry)})", width):
        yield line, terminal.BOLD
    yield "", ""
    yield from _paragraphs(entry.cause, width)
    yield from _block(_example_head(entry), entry.example)
    if entry.says:
        yield from _block("What xrun says then", entry.says)
    yield "", ""
    yield "What to do", terminal.BOLD
    yield "", ""
    yield from _paragraphs(entry.fix, width)
    if entry.mended:
        yield from _block("Mended", entry.mended)


def _exit(entry: Explanation) -> str:
    return f"exit code {entry.exit}" if entry.exit else "a warning: the job runs"


def _example_head(entry: Explanation) -> str:
    if entry.kind == "message":
        return "The message as it was seen"
    return f"Example, on a scheduler without {entry.lacks}" if entry.lacks else "Example"


def _paragraphs(text: str, width: int) -> Iterator[tuple[str, str]]:
    """Prose, wrapped; an indented or listed line keeps its place."""
    for i, paragraph in enumerate(_plain(text).split("\n\n")):
        if i:
            yield "", ""
        for item in re.split(r"\n(?=- )", paragraph):
            indent = "  " if item.startswith("- ") else ""
            for line in textwrap.wrap(" ".join(item.split()), width, subsequent_indent=indent, break_on_hyphens=False):
                yield line, ""


def _block(head: str, text: str) -> Iterator[tuple[str, str]]:
    """Something to be copied: never wrapped, since a line that is broken is another line."""
    yield "", ""
    yield head, terminal.BOLD
    yield "", ""
    for line in text.splitlines():
        yield f"{_INDENT}{line}" if line else "", terminal.CYAN


def _plain(text: str) -> str:
    """Markdown's code marks are for the page; a terminal reads better without."""
    return text.replace("`", "")
