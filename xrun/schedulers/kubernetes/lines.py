"""The lines of a container's log as the kubelet gives them, and how far they were read.

A line begins with its time, RFC 3339 with nine digits of fraction, and a space; the rest is the program's bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import NamedTuple

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d+)(Z|[+-]\d\d:\d\d) ?")
_OUT_OF_ORDER = 5  # seconds that one stream of a program may lag behind another in the log
_REMEMBERED = 32  # seconds of which the lines are counted
_PIECE = 1 << 16


class Line(NamedTuple):
    """A line, or a piece of a long one.

    Attributes:
        second: of its time, Unix.
        time: Unix time.
        data: its bytes, its end included.
        begins: whether it is where a line begins.
    """

    second: int
    time: float
    data: bytes
    begins: bool


def parse(pieces: Iterable[bytes]) -> Iterator[Line]:
    """Lines of a log with times; what has no time is the kubelet's own word and passed over."""
    known: tuple[bytes, int] = (b"", 0)
    rest = b""
    last: Line | None = None  # the line of which a piece was given
    for piece in pieces:
        rest += piece
        *lines, rest = rest.split(b"\n")
        for data in lines:
            if last is not None:
                yield last._replace(data=data + b"\n", begins=False)
                last = None
                continue
            m = _STAMP.match(data)
            if m is None:
                continue
            if m[1] + m[3] != known[0]:
                known = (m[1] + m[3], _second(m[1], m[3]))
            yield Line(known[1], known[1] + float(b"0." + m[2]), data[m.end() :] + b"\n", True)
        if len(rest) > _PIECE:
            last = last._replace(data=rest, begins=False) if last is not None else _first(rest)
            if last is not None:
                yield last
            rest = b""
    if rest:
        end = last._replace(data=rest, begins=False) if last is not None else _first(rest)
        if end is not None:
            yield end


def _first(data: bytes) -> Line | None:
    """Of a line that was cut; one of which only the time came will come again."""
    m = _STAMP.match(data)
    if m is None or m.end() == len(data):
        return None
    second = _second(m[1], m[3])
    return Line(second, second + float(b"0." + m[2]), data[m.end() :], True)


def _second(stamp: bytes, zone: bytes) -> int:
    return int(datetime.fromisoformat((stamp + zone).decode()).timestamp())


class Position:
    """How far a log was read, so that it can be read on without a lost or doubled byte.

    The log is a file: what it has from some second on is the same each time, but for what comes behind. So it is enough
    to count lines. Two things begin another file: a container that is started anew, whose lines are all later, and the
    kubelet when one grows too large, which goes on in the middle of what was given.
    """

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}  # second -> lines of it that were given
        self._firsts: dict[int, tuple[int, float]] = {}  # second -> number and time of its first line
        self._given = 0
        self._last = self._latest = 0.0  # times of the last line that was given, and the greatest of all
        self._open = 0  # bytes given of the last line, if its end was not
        self._skip = 0
        self._expected: float | None = None  # the time of the first line that comes if it is the same file

    @property
    def is_new(self) -> bool:
        """Whether nothing was given yet."""
        return not self._given

    def since(self, first: int | None = None) -> int | None:
        """To be called before the log is read once more.

        Args:
            first: the second from which on it is of interest at all.

        Returns:
            From which second on to ask for it; None for all of it.
        """
        if self._counts:
            start = max(self._counts) - _OUT_OF_ORDER
            first = start if first is None else max(first, start)
        seconds = [second for second in self._counts if first is None or second >= first]
        self._skip = sum(self._counts[second] for second in seconds)
        self._expected = min((self._firsts[second] for second in seconds), default=(0, None))[1]
        return first

    def new(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Of what is read after `since`, what was not given before."""
        skip, given = self._skip, self._open
        number = offset = 0
        lines = iter(lines)
        for line in lines:
            if number == 0 and self._expected not in (None, line.time):  # another file
                yield from self._another(line, lines)
                return
            if line.begins:
                number, offset = number + 1, 0
            if number > skip:
                yield self._noted(line)
            elif number == skip and given:  # the line that was cut
                fresh = line.data[max(0, given - offset) :]
                offset += len(line.data)
                if fresh:
                    yield self._noted(line._replace(data=fresh, begins=False))

    def _another(self, first: Line, lines: Iterator[Line]) -> Iterator[Line]:
        """Of a file that does not begin as the one that was read, what comes behind the last line given."""
        last, passed = self._last, first.time > self._latest
        for line in chain((first,), lines):
            if passed:
                yield self._noted(line)
            passed = passed or line.time == last

    def _noted(self, line: Line) -> Line:
        if line.begins:
            self._open = 0
            self._given += 1
            self._last, self._latest = line.time, max(self._latest, line.time)
            self._counts[line.second] = self._counts.get(line.second, 0) + 1
            self._firsts.setdefault(line.second, (self._given, line.time))
            if len(self._counts) > _REMEMBERED:
                for second in sorted(self._counts)[: _REMEMBERED // 2]:
                    del self._counts[second], self._firsts[second]
        self._open = 0 if line.data.endswith(b"\n") else self._open + len(line.data)
        return line
