"""What kind of terminal there is, and text that is fit for it.

Colour and lines that change need a terminal that isn't ``dumb``; ``NO_COLOR`` turns colour off. There is no way to
force either: what isn't a terminal gets plain text that looks the same in every environment, FORCE_COLOR or not. No
pager is ever started; ``| less`` is the reader's to type.
"""

from __future__ import annotations

import os
import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOUR = re.compile("\033\\[[0-9;]*m")

RED, GREEN, YELLOW, CYAN, BOLD, DIM = "31", "32", "33", "36", "1", "2"


def is_terminal(fd: int) -> bool:
    """Whether an open file is a terminal."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


def can_redraw(fd: int) -> bool:
    """Whether lines can be written over."""
    return is_terminal(fd) and os.environ.get("TERM", "") not in ("", "dumb")


def has_colour(fd: int) -> bool:
    """Whether colours may be used."""
    return can_redraw(fd) and not os.environ.get("NO_COLOR")


def painted(text: str, colour: str, fd: int = 1) -> str:
    """A text in a colour, if there is any."""
    return f"\033[{colour}m{text}\033[0m" if colour and text and has_colour(fd) else text


def size(fd: int = 1) -> tuple[int, int]:
    """Columns and lines; 80 by 24 if the terminal doesn't say."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        columns, lines = 0, 0
    return columns or 80, lines or 24


def clean(text: str) -> str:
    r"""A text without anything that a terminal would act upon: control characters become ``\x1b`` and the like.

    For names and errors, which come from anywhere; what a job wrote is passed on as it is.
    """
    return _CONTROL.sub(lambda m: _escape(ord(m[0])), text) if not text.isascii() or not text.isprintable() else text


def width(text: str) -> int:
    """Columns that a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, columns: int) -> str:
    """A text of at most so many columns; one that is longer ends with ``…``."""
    if width(text) <= columns:
        return text
    if columns <= 1:
        return "…"[:columns]
    from rich.cells import set_cell_size

    return set_cell_size(text, columns - 1).rstrip() + "…"


def padded(text: str, columns: int) -> str:
    """A text filled up with spaces."""
    return text + " " * (columns - width(text))


def bare(text: str) -> str:
    """A text of ours without its colours."""
    return _COLOUR.sub("", text)


def _escape(code: int) -> str:
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
