"""Everything that reaches the terminal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from xrun.schedulers.logs import CAUGHT_UP, LogChunk, Stream, whole_lines

EXIT_SIGPIPE = 141

_COLOURS = (32, 36, 33, 35, 34, 92, 96, 93, 95, 94)


class Unwritable(click.ClickException):
    """What was asked for can't be written, as on a full disk."""

    code = "XR085"

    def __init__(self, error: OSError) -> None:
        super().__init__(f"can't write the output: {error.strerror}; free some space, or send it elsewhere")


def notice(text: str) -> None:
    """A line on stderr that is no answer: progress, a warning, a hint. Safe in a signal handler."""
    write(2, f"xrun: {text}\n".encode("utf-8", "surrogateescape"))


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
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError:
        raise click.exceptions.Exit(EXIT_SIGPIPE) from None
    except OSError as error:
        raise Unwritable(error) from error


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows for a person on a terminal, tab-separated without a head for anything else."""
    if not sys.stdout.isatty():
        for row in rows:
            answer("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    Console(highlight=False).print(drawn)


def log_bytes(chunks: Iterable[LogChunk], *, prefix: bool, split: bool, timestamps: bool, regex: str | None) -> None:
    """Writes a job's output as it was written.

    Args:
        chunks: what it wrote.
        prefix: begin each line with ``role/replica ``.
        split: its stderr goes to stderr; else all goes to stdout.
        timestamps: begin each line with the time at which it arrived.
        regex: only lines in which this is found.
    """
    if prefix or timestamps or regex:
        chunks = _decorated(whole_lines(c for c in chunks if c is not CAUGHT_UP), prefix, timestamps, regex)
    for chunk in chunks:
        write(2 if split and chunk.stream is Stream.STDERR else 1, chunk.data)


def _decorated(blocks: Iterable[LogChunk], prefix: bool, timestamps: bool, regex: str | None) -> Iterator[LogChunk]:
    import re

    matches = re.compile(regex).search if regex else None
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for block in blocks:
        data = block.data
        if matches:
            lines = io.StringIO(data.decode("utf-8", "surrogateescape"), newline="\n")
            data = "".join(filter(matches, lines)).encode("utf-8", "surrogateescape")
        if not data:
            continue
        head = _time(block.time) if timestamps else b""
        head += _name(block.role, block.replica, colour) if prefix else b""
        ended = data.endswith(b"\n")
        body = (data[:-1] if ended else data).replace(b"\n", b"\n" + head)
        yield block._replace(data=head + body + b"\n")


def _name(role: str, replica: int, colour: bool) -> bytes:
    text = f"{role}/{replica} "
    return f"\033[{_COLOURS[replica % len(_COLOURS)]}m{text}\033[0m".encode() if colour else text.encode()


def _time(when: float) -> bytes:
    from datetime import datetime

    return f"{datetime.fromtimestamp(when).astimezone().isoformat(timespec='milliseconds')} ".encode()


def ago(when: float, now: float) -> str:
    """How long ago, in one short word: ``45s``, ``12m``, ``3h``, ``8d``."""
    seconds = max(0, int(now - when))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
