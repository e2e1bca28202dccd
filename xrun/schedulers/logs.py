"""What a job wrote: chunks as a backend has them, and the lines made from them."""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

MAX_LINE = 8 << 20
"""Bytes kept of a line that has not ended; a longer one is passed on in pieces, so memory stays bounded."""


class Stream(str, Enum):
    """Which output of a replica."""

    STDOUT = "stdout"
    STDERR = "stderr"
    COMBINED = "combined"

    def __str__(self) -> str:
        return self.value


class LogChunk(NamedTuple):
    """Some bytes of one stream of one replica, cut anywhere.

    Attributes:
        role: the role's name.
        replica: its number in the role.
        stream: STDOUT or STDERR (COMBINED where the system does not tell them apart).
        time: when they arrived, Unix seconds.
        data: the bytes; empty only in the chunk that says "all there was so far has been given" (see `CAUGHT_UP`).
    """

    role: str
    replica: int
    stream: Stream
    time: float
    data: bytes


CAUGHT_UP = LogChunk("", -1, Stream.COMBINED, 0.0, b"")
"""Given once by a backend that follows, between what was there and what comes."""


class LogQuery(NamedTuple):
    """Which part of an app's logs.

    Attributes:
        role: one role, or None for all.
        replicas: some replicas of that role, or None for all.
        stream: which output.
        since: Unix time of the first byte wanted, or None.
        until: Unix time of the last byte wanted, or None.
        tail: only this many last lines of each replica, or None.
        follow: go on until the app has ended and all is read.
    """

    role: str | None = None
    replicas: tuple[int, ...] | None = None
    stream: Stream = Stream.COMBINED
    since: float | None = None
    until: float | None = None
    tail: int | None = None
    follow: bool = False

    def wants(self, role: str, replica: int, stream: Stream) -> bool:
        """Whether this output is asked for."""
        return (
            self.stream in (Stream.COMBINED, stream)
            and (self.role is None or role == self.role)
            and (self.replicas is None or replica in self.replicas)
        )

    def takes(self, chunk: LogChunk) -> bool:
        """Whether a chunk is asked for: its output and its time."""
        return (
            self.wants(chunk.role, chunk.replica, chunk.stream)
            and (self.since is None or chunk.time >= self.since)
            and (self.until is None or chunk.time <= self.until)
        )


def tail_of(chunks: Iterable[LogChunk], count: int) -> Iterator[LogChunk]:
    """The last ``count`` lines of each replica so far, then everything that comes after `CAUGHT_UP`."""
    kept: dict[tuple[str, int], deque[LogChunk]] = {}
    incoming = iter(chunks)
    for block in whole_lines(_until_caught_up(incoming)):
        lines = kept.setdefault((block.role, block.replica), deque(maxlen=count))
        pieces = block.data.split(b"\n")
        last = pieces.pop()
        for line in pieces[-count:] if count else ():
            lines.append(block._replace(data=line + b"\n"))
        if last and count:
            lines.append(block._replace(data=last))
    for lines in kept.values():
        yield from lines
    yield from incoming


def whole_lines(chunks: Iterable[LogChunk]) -> Iterator[LogChunk]:
    """The same bytes as blocks of whole lines, so that replicas can be shown side by side.

    The last line of a stream may lack its newline; a line of more than `MAX_LINE` bytes comes in pieces.
    """
    open_lines: dict[tuple[str, int, Stream], LogChunk] = {}
    for chunk in chunks:
        key = (chunk.role, chunk.replica, chunk.stream)
        held = open_lines.pop(key, None)
        end = chunk.data.rfind(b"\n") + 1
        if end:
            yield chunk._replace(data=(held.data if held else b"") + chunk.data[:end])
            rest = chunk.data[end:]
        else:
            rest = (held.data if held else b"") + chunk.data
        if len(rest) > MAX_LINE:
            yield chunk._replace(data=rest)
        elif rest:
            open_lines[key] = chunk._replace(data=rest)
    yield from open_lines.values()


def text_lines(chunks: Iterable[LogChunk], regex: str | None = None) -> Iterator[str]:
    r"""Lines as text, each with its ``\n``; bytes that aren't UTF-8 become surrogates (``errors="surrogateescape"``).

    Args:
        chunks: bytes of one or more replicas.
        regex: only lines in which this is found (default: all).
    """
    matches = re.compile(regex).search if regex else None
    for block in whole_lines(chunks):
        lines = io.StringIO(block.data.decode("utf-8", "surrogateescape"), newline="\n")
        yield from filter(matches, lines) if matches else lines


def _until_caught_up(chunks: Iterator[LogChunk]) -> Iterator[LogChunk]:
    for chunk in chunks:
        if chunk is CAUGHT_UP:
            return
        yield chunk
