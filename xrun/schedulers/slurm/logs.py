"""What replicas wrote: each has a file for each stream, and notes beside them say when they had which size."""

from __future__ import annotations

import heapq
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream

_READ = 1 << 18
_POLL, _LONGEST_POLL = 0.05, 0.5
_SUFFIXES = {Stream.STDOUT: "out", Stream.STDERR: "err"}
_STREAMS = tuple(_SUFFIXES)
_TIME = rb"(\d+(?:\.\d+)?)"
_NOTE = re.compile(rb"%s (\d+) %s (\d+)" % (_TIME, _TIME))


class _Piece(NamedTuple):
    """Some new bytes of a file."""

    time: float
    order: int
    stream: Stream
    begin: int
    end: int
    replica: _Replica


class _Replica:
    """The files of one replica.

    Args:
        folder: the job's folder.
        role: its role.
        k: its number.
        order: its place among all.
    """

    def __init__(self, folder: str, role: str, k: int, order: int) -> None:
        self.role, self.k, self._order = role, k, order
        self._path = os.path.join(folder, f"{role}.{k}")
        self._at, self._partial = 0, b""
        self._sizes = dict.fromkeys(_STREAMS, 0)
        self._time = 0.0

    def new(self) -> Iterator[_Piece]:
        """What was noted since the last call, in order of time."""
        try:
            if os.stat(f"{self._path}.log").st_size == self._at:
                return
            with open(f"{self._path}.log", "rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return
        self._at += len(data)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if note := _NOTE.fullmatch(line):  # another one is damaged, and the next one says all that it would have
                yield from self._grown((float(note[1]), int(note[2])), (float(note[3]), int(note[4])))

    def rest(self) -> Iterator[_Piece]:
        """What lies beyond the last note; only right once nothing writes any more."""
        found = []
        for stream in _STREAMS:
            try:
                info = os.stat(self.path(stream))
            except OSError:
                return
            found.append((info.st_mtime, info.st_size))
        yield from self._grown(*found)

    def path(self, stream: Stream) -> str:
        """The file of a stream."""
        return f"{self._path}.{_SUFFIXES[stream]}"

    def _grown(self, *found: tuple[float, int]) -> Iterator[_Piece]:
        for (when, size), stream in sorted(zip(found, _STREAMS, strict=True)):
            begin = self._sizes[stream] if size >= self._sizes[stream] else 0  # a program may truncate its own file
            self._sizes[stream] = size
            if size > begin:
                self._time = max(self._time, when)
                yield _Piece(self._time, self._order, stream, begin, size, self)


def read(
    folder: str, roles: Sequence[tuple[str, int]], query: LogQuery, ended: Callable[[], bool]
) -> Iterator[LogChunk]:
    """An app's output in order of time.

    Args:
        folder: the job's folder.
        roles: (name, number of replicas) of each.
        query: which part; the tail is the caller's.
        ended: whether the app has ended.
    """
    replicas = [
        _Replica(folder, name, k, order)
        for order, (name, k) in enumerate((name, k) for name, count in roles for k in range(count))
        if any(query.wants(name, k, stream) for stream in _STREAMS)
    ]
    told, pause = not query.follow, _POLL
    while True:
        over = ended()  # before the reading: nothing comes later
        grew = False
        for chunk in _chunks(heapq.merge(*(replica.new() for replica in replicas)), query):
            grew = True
            yield chunk
        if over or not query.follow:
            break
        if not told:
            told = True
            yield CAUGHT_UP
        pause = _POLL if grew else min(pause * 1.2, _LONGEST_POLL)
        time.sleep(pause)
    yield from _chunks(heapq.merge(*(replica.rest() for replica in replicas)), query)


def _chunks(pieces: Iterator[_Piece], query: LogQuery) -> Iterator[LogChunk]:
    for piece in pieces:
        replica = piece.replica
        if query.takes(LogChunk(replica.role, replica.k, piece.stream, piece.time, b"")):
            yield from _bytes_of(piece)


def _bytes_of(piece: _Piece) -> Iterator[LogChunk]:
    replica, at = piece.replica, piece.begin
    try:
        with open(replica.path(piece.stream), "rb") as file:
            file.seek(at)
            while at < piece.end:
                data = file.read(min(_READ, piece.end - at))
                if not data:
                    return
                at += len(data)
                yield LogChunk(replica.role, replica.k, piece.stream, piece.time, data)
    except OSError:
        return
