"""What containers wrote: the engine's frames as chunks, several containers side by side, connections made again.

A frame is a message of one stream with its time: 8 bytes of head (stream, 3 unused, length as 32 bits, big-endian; see
"Stream format" of ContainerAttach in the Engine API), then an RFC 3339 time, a space and the bytes.
"""

from __future__ import annotations

import collections
import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from xrun.errors import BackendUnavailable
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.containers import CONFLICT, NOT_THERE
from xrun.schedulers.docker.events import AWAY
from xrun.schedulers.docker.labels import Seen
from xrun.schedulers.following import Followers
from xrun.schedulers.logs import LogChunk, LogQuery, Stream
from xrun.schedulers.streams import Streams

_HEAD = 8
_PIECE = 16384
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
_RETRY = 0.5
_OUT_OF_ORDER = 5  # seconds that one thread of the engine may lag behind another with what it has given a time


class _Message(NamedTuple):
    """One message of the log; ``stamp``, the engine's text of its time, orders messages and tells them apart."""

    stamp: str
    stream: Stream
    data: bytes


def read(engine: Engine, parts: Sequence[Seen], query: LogQuery) -> Iterator[LogChunk]:
    """What containers wrote so far, in order of time.

    Args:
        engine: where.
        parts: the containers, attempts of one replica in order.
        query: which part of it.
    """
    yield from heapq.merge(*(_chunks(engine, c, query) for c in parts), key=lambda chunk: chunk.time)


def follow(
    engine: Engine,
    parts: Sequence[Seen],
    query: LogQuery,
    more: Callable[[set[str]], Sequence[Seen] | None],
    wake: Callable[[], None],
) -> Iterator[LogChunk]:
    """What containers wrote and write, until the app has ended and all is read.

    Args:
        engine: where.
        parts: the containers there are.
        query: which part of it.
        more: as `Followers` takes it.
        wake: the same.
    """
    positions: dict[str, _Position] = collections.defaultdict(_Position)
    try:
        for m, c in _merged(engine, parts, query):
            positions[c.id].begins(m)
            if positions[c.id].passes(m) and query.stream in (Stream.COMBINED, m.stream):
                yield _chunk(c, m)
    except BackendUnavailable:
        if query.tail is not None:  # what is skipped at the beginning isn't known yet
            raise

    def rest(c: Seen, streams: Streams) -> Iterator[LogChunk]:
        return (_chunk(c, m) for m in _resumed(engine, c, query, positions[c.id], streams))

    yield from Followers("docker", rest, more, wake).chunks(parts)


class _Position:
    """How far the log of a container was read, so that it can be read on without a lost or doubled message.

    The two streams are written by two threads of the engine, so only within one are messages in order of time, and
    several may have the same.
    """

    def __init__(self) -> None:
        self._last: dict[Stream, tuple[str, int]] = {}
        self._replayed: dict[Stream, int] = {}

    def begins(self, m: _Message) -> None:
        """The first message that is read tells both streams what was before it."""
        for stream in _STREAMS.values():
            self._last.setdefault(stream, (m.stamp, 0))

    def read_again(self) -> str:
        """To be called before the log is read once more: from when on, as the engine's text; empty for all of it."""
        self._replayed = dict.fromkeys(self._last, 0)
        last = max((stamp for stamp, _ in self._last.values()), default="")
        if not last:
            return ""
        whole, _, fraction = _unix(last).partition(".")
        return f"{int(whole) - _OUT_OF_ORDER}.{fraction}"

    def passes(self, m: _Message) -> bool:
        """Whether a message is new; if so it counts as read."""
        stamp, count = self._last.get(m.stream, ("", 0))
        if m.stream in self._replayed:
            if m.stamp < stamp:
                return False
            if m.stamp == stamp and self._replayed[m.stream] < count:
                self._replayed[m.stream] += 1
                return False
            del self._replayed[m.stream]
        self._last[m.stream] = m.stamp, count + 1 if m.stamp == stamp else 1
        return True


def _merged(engine: Engine, parts: Sequence[Seen], query: LogQuery) -> Iterator[tuple[_Message, Seen]]:
    def one(c: Seen) -> Iterator[tuple[str, Seen, _Message]]:
        for m in _so_far(engine, c, query):
            yield m.stamp, c, m

    for _, c, m in heapq.merge(*(one(c) for c in parts), key=lambda row: row[0]):
        yield m, c


def _resumed(engine: Engine, c: Seen, query: LogQuery, position: _Position, streams: Streams) -> Iterator[_Message]:
    """Messages after a position, to the end of the container, whatever happens to the connection."""
    lost = 0.0
    while not streams.closed.is_set():
        try:
            for m in _messages(engine, c, query, streams=streams, again=position.read_again()):
                lost = 0.0
                if position.passes(m):
                    yield m
            if not _runs(engine, c):
                # what came between the end of the stream and that of the container
                rest = _messages(engine, c, query, again=position.read_again())
                yield from filter(position.passes, rest)
                return
        except BackendUnavailable:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > AWAY:
                raise
        streams.closed.wait(_RETRY)


def _runs(engine: Engine, c: Seen) -> bool:
    try:
        with engine.doing("inspect a container") as api:
            state = api.inspect_container(c.id)["State"]
    except Refused as error:
        if error.status == NOT_THERE:
            return False
        raise
    return bool(state["Running"] or (state["Status"] == "created" and not state["Error"]))


def _chunks(engine: Engine, c: Seen, query: LogQuery) -> Iterator[LogChunk]:
    for m in _so_far(engine, c, query):
        if query.stream in (Stream.COMBINED, m.stream):
            yield _chunk(c, m)


def _chunk(c: Seen, m: _Message) -> LogChunk:
    return LogChunk(c.role_name, c.replica, m.stream, _seconds(m.stamp), m.data)


def _so_far(engine: Engine, c: Seen, query: LogQuery) -> Iterator[_Message]:
    """What there is; of the last lines alone a little more, of both streams."""
    if query.tail is None or query.since is not None or query.until is not None:
        yield from _messages(engine, c, query)
        return
    wanted = query.tail + 1
    while True:  # the engine counts messages, and a long line is many
        both = query._replace(stream=Stream.COMBINED)
        found = list(_messages(engine, c, both, last=wanted))
        lines = sum(m.data.count(b"\n") for m in found if query.stream in (Stream.COMBINED, m.stream))
        if lines > query.tail or len(found) < wanted:
            yield from found
            return
        wanted *= 4


def _messages(
    engine: Engine,
    c: Seen,
    query: LogQuery,
    *,
    streams: Streams | None = None,
    again: str = "",
    last: int | None = None,
) -> Iterator[_Message]:
    """The log of one container that a query is about; a container that is gone has none.

    Args:
        engine: where.
        c: the container.
        query: which part of its log.
        streams: wait for more until it ends, or these are closed.
        again: from when on instead of the query's time, if part of it was read before.
        last: only so many messages from the end.
    """
    since = f"{query.since:.9f}" if query.since is not None else "0"
    if again and float(again) > float(since):
        since = again
    params: dict[str, Any] = {
        "stdout": query.stream is not Stream.STDERR,
        "stderr": query.stream is not Stream.STDOUT,
        "timestamps": True,
        "follow": streams is not None,
        "since": since,
        "until": f"{query.until:.9f}" if query.until is not None else "0",
        "tail": "all" if last is None else str(last),
    }
    try:
        with engine.logs(c.id, params) as stream, streams.held(stream) if streams is not None else nullcontext():
            yield from _frames(stream)
    except Refused as error:
        if error.status not in (NOT_THERE, CONFLICT):  # gone, or going
            raise


def _frames(blocks: Iterable[bytes]) -> Iterator[_Message]:
    cut: set[Stream] = set()
    for head, body in _split(blocks):
        stamp, _, data = body.partition(b" ")
        which = _STREAMS.get(head, Stream.STDOUT)
        if which in cut:
            data = b"\n" + data
        # engine 20.10 keeps a long line in pieces of this size and drops the newline behind the last, shorter one
        (cut.discard if data.endswith(b"\n") or len(data) >= _PIECE else cut.add)(which)
        yield _Message(_padded(stamp.decode("ascii", "replace")), which, data)


def _split(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The whole frames in blocks that are cut anywhere: the first byte of each head, and what follows the head."""
    held = b""
    for block in blocks:
        held, at = held + block, 0
        while len(held) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(held[at + 4 : at + _HEAD], "big")
            if len(held) < end:
                break
            yield held[at], held[at + _HEAD : end]
            at = end
        held = held[at:]


def _padded(stamp: str) -> str:
    """The engine drops trailing zeros of the fraction; with them stamps compare as texts do."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _unix(stamp: str) -> str:
    whole, _, fraction = stamp.partition(".")
    return f"{_whole(whole)}.{fraction or '0'}"


@lru_cache(maxsize=16)
def _whole(seconds: str) -> int:
    return int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())


def _seconds(stamp: str) -> float:
    return float(_unix(stamp))
