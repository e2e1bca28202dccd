"""Everything that reaches the terminal."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from xrun.cli import terminal
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, Stream, whole_lines

EXIT_SIGPIPE = 141

_COLOURS = (32, 36, 33, 35, 34, 92, 96, 93, 95, 94)
_COLOUR_OF_STATE = {
    "SUCCEEDED": terminal.GREEN,
    "RUNNING": terminal.CYAN,
    "FAILED": terminal.RED,
    "CANCELLED": terminal.YELLOW,
    "PENDING": terminal.DIM,
    "SUBMITTED": terminal.DIM,
}
_NARROWEST = 12  # columns that a cell is cut to before columns are left out
_GAP = 2  # spaces between columns
_AT_ONCE = 65536

_lock = threading.RLock()  # a signal handler may write while its own thread does
_drawn = threading.Event()
"""Set while a line that is to disappear stands on the terminal."""


class Unwritable(click.ClickException):
    """What was asked for can't be written, as on a full disk."""

    code = "XR085"

    def __init__(self, error: OSError) -> None:
        super().__init__(f"can't write the output: {error.strerror}; free some space, or send it elsewhere")


def notice(text: str) -> None:
    """A line on stderr that is no answer: progress, a warning, a hint. Safe in a signal handler."""
    write(2, f"xrun: {terminal.clean(text)}\n".encode())


def transient(text: str) -> None:
    """A line on a terminal that the next output, or the next such line, takes the place of."""
    room = terminal.size(2)[0] - len("^C") - 1  # what a terminal adds on Ctrl-C must not begin another line
    line = terminal.cut(terminal.clean(f"xrun: {text}"), room)
    with _lock:
        _drawn.set()
        os.write(2, f"\r{line}\033[K".encode())


def passing(text: str) -> None:
    """A line about what goes on, for which the next one is reason enough to go."""
    (transient if terminal.can_redraw(2) else notice)(text)


def erase() -> None:
    """Takes the transient line away."""
    with _lock:
        if _drawn.is_set():
            _drawn.clear()
            os.write(2, b"\r\033[K")


def answer(text: str) -> None:
    """A line on stdout: what was asked for."""
    write(1, f"{text}\n".encode("utf-8", "surrogateescape"))


def answer_json(value: object) -> None:
    """A JSON answer, all on one line."""
    import json

    answer(json.dumps(value, ensure_ascii=False))


def write(fd: int, data: bytes) -> None:
    """All of some bytes.

    Raises:
        click.exceptions.Exit: nobody reads any more; the exit code is that of a program that SIGPIPE ended.
        Unwritable: it can't be written, as on a full disk.
    """
    view = memoryview(data)
    try:
        with _lock:
            if _drawn.is_set():
                erase()
            while view:
                view = view[os.write(fd, view) :]
    except BrokenPipeError:
        raise click.exceptions.Exit(EXIT_SIGPIPE) from None
    except OSError as error:
        raise Unwritable(error) from error


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str] = (), prose: Sequence[str] = ()
) -> None:
    """Rows for a person on a terminal, tab-separated without a head for anything else.

    On a terminal the table keeps to its width: the first column, which names things, is always whole; the widest of the
    others are cut first, where prose goes on in the next line, and what doesn't fit even so is left out. Names of
    states have colours.

    Args:
        columns: the head.
        rows: what is below it; control characters in it are shown, not sent.
        spare: columns that are left out first on a narrow terminal, in this order; then those on the right.
        prose: columns whose text is to be read whole.
    """
    clean = [row if "".join(row).isprintable() else [*map(terminal.clean, row)] for row in rows]
    if terminal.is_terminal(1):
        for line in table_lines(columns, clean, terminal.size(1)[0], spare, prose):
            answer(line)
    elif rows:
        answer("\n".join(map("\t".join, clean)))


def table_lines(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    spare: Sequence[str] = (),
    prose: Sequence[str] = (),
) -> list[str]:
    """The lines of a table on a terminal of so many columns, head first.

    Args:
        columns: the head.
        rows: clean cells.
        width: of the terminal.
        spare: as for `table`.
        prose: as for `table`.
    """
    natural = [max(map(terminal.width, column)) for column in zip(columns, *rows, strict=True)]
    kept = _kept(columns, natural, width, spare)
    widths = _fitted([natural[i] for i in kept], width)
    colours = terminal.has_colour(1)
    lines = [_row([columns[i] for i in kept], widths)]
    lines[0] = terminal.painted(lines[0], terminal.BOLD)
    wrapped = [n for n, i in enumerate(kept) if columns[i] in prose]
    for row in rows:
        cells = _wrapped([row[i] for i in kept], widths, wrapped)
        lines += [_row(line, widths, colours=colours) for line in cells]
    return lines


def _wrapped(cells: list[str], widths: Sequence[int], columns: Sequence[int]) -> list[list[str]]:
    """One row as the lines that it takes."""
    if not columns:
        return [cells]
    import textwrap

    texts = {i: textwrap.wrap(cells[i], widths[i], break_on_hyphens=False) or [""] for i in columns}
    first = [texts[i][0] if i in texts else cell for i, cell in enumerate(cells)]
    rest = range(1, max(map(len, texts.values())))
    return [first, *([texts[i][n] if n < len(texts.get(i, ())) else "" for i in range(len(cells))] for n in rest)]


def _kept(columns: Sequence[str], natural: Sequence[int], width: int, spare: Sequence[str]) -> list[int]:
    """Which columns are shown, so that each has at least its smallest width."""
    kept = list(range(len(columns)))
    leaving = [columns.index(name) for name in spare if name in columns[1:]]
    while len(kept) > 1 and sum(_smallest(natural, i) for i in kept) + _GAP * (len(kept) - 1) > width:
        kept.remove(leaving.pop(0) if leaving else kept[-1])
    return kept


def _smallest(natural: Sequence[int], column: int) -> int:
    return min(natural[column], _NARROWEST) if column else natural[column]


def _fitted(natural: Sequence[int], width: int) -> list[int]:
    """Widths in which the widest give way, but not the first column."""
    widths = list(natural)
    while len(widths) > 1 and (excess := sum(widths) + _GAP * (len(widths) - 1) - width) > 0:
        widest = max(range(1, len(widths)), key=lambda i: widths[i])
        others = [w for w in widths[1:] if w < widths[widest]]
        lowest = max(_NARROWEST, max(others, default=0))
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= min(excess, widths[widest] - min(lowest, widths[widest] - 1))
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], *, colours: bool = False) -> str:
    shown = []
    for i, (cell, columns) in enumerate(zip(cells, widths, strict=False)):
        text = cell if i == 0 else terminal.cut(cell, columns)
        filled = text if i == len(widths) - 1 else terminal.padded(text, columns)
        shown.append(terminal.painted(filled, _COLOUR_OF_STATE.get(cell, "")) if colours else filled)
    return (" " * _GAP).join(shown).rstrip()


def state(name: str) -> str:
    """The name of a state, in its colour on a terminal."""
    return terminal.painted(name, _COLOUR_OF_STATE.get(name, ""))


def log_bytes(
    chunks: Iterable[LogChunk],
    *,
    prefix: bool,
    split: bool,
    timestamps: bool,
    regex: str | None,
    live: bool = True,
) -> None:
    """Writes a job's output as it was written.

    Args:
        chunks: what it wrote.
        prefix: begin each line with ``role/replica ``.
        split: its stderr goes to stderr; else all goes to stdout.
        timestamps: begin each line with the time at which it arrived.
        regex: only lines in which this is found.
        live: write each piece as it comes; else, to one stream, many of them at once.
    """
    if prefix or timestamps or regex:
        colours = {stream: terminal.has_colour(2 if split and stream is Stream.STDERR else 1) for stream in Stream}
        chunks = _decorated(whole_lines(c for c in chunks if c is not CAUGHT_UP), prefix, timestamps, regex, colours)
    if live:
        for chunk in chunks:
            write(2 if split and chunk.stream is Stream.STDERR else 1, chunk.data)
        return
    held = bytearray()
    try:
        for chunk in chunks:
            held += chunk.data
            if len(held) >= _AT_ONCE:
                write(1, bytes(held))
                held.clear()
    finally:
        write(1, bytes(held))


def _decorated(
    blocks: Iterable[LogChunk], prefix: bool, timestamps: bool, regex: str | None, colours: Mapping[Stream, bool]
) -> Iterator[LogChunk]:
    import re

    from xrun.cli.times import moment

    matches = re.compile(regex).search if regex else None
    for block in blocks:
        data = block.data
        if matches:
            lines = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="\n")
            data = "".join(filter(matches, lines)).encode("utf-8", "surrogateescape")
        if not data:
            continue
        head = f"{moment(block.time, 'milliseconds')} ".encode() if timestamps else b""
        head += _name(block.role, block.replica, colours[block.stream]) if prefix else b""
        ended = data.endswith(b"\n")
        body = (data[:-1] if ended else data).replace(b"\n", b"\n" + head)
        yield block._replace(data=head + body + b"\n")


def _name(role: str, replica: int, colour: bool) -> bytes:
    text = f"{role}/{replica} "
    return f"\033[{_COLOURS[replica % len(_COLOURS)]}m{text}\033[0m".encode() if colour else text.encode()
