"""What containers wrote: the engine's frames as chunks, several containers side by side, connections made again.

A frame is a message of one stream with its time: 8 bytes of head (stream, 3 unused, length as 32 bits, big-endian; see
"Stream format" of ContainerAttach in the Engine API), then an RFC 3339 time, a space and the bytes.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from xrun.errors import BackendUnavailable
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.containers import NOT_THERE
from xrun.schedulers.docker.labels import Seen
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream

_HEAD = 8
_PIECE = 16384
_STREAMS = {1: Stream.STDOUT, 2: Stream.STDERR}
_AWAY = 120.0  # seconds without an engine after which a follower gives up
_RETRY = 0.5
_QUEUED = 256


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
    engine: Engine, parts: Sequence[Seen], query: LogQuery, more: Callable[[set[str]], Sequence[Seen] | None]
) -> Iterator[LogChunk]:
    """What containers wrote and write, until the app has ended and all is read.

    Args:
        engine: where.
        parts: the containers there are.
        query: which part of it.
        more: given the ids that are followed or done, the containers there are beside them; None once there won't be
            any. It may wait for a change.
    """
    since: dict[str, str] = {}
    for chunk, c, stamp in _merged(engine, parts, query):
        since[c.id] = stamp
        yield chunk
    yield CAUGHT_UP
    with _Followers(engine, query) as followers:
        for c in parts:
            followers.add(c, since.get(c.id, ""))
        watcher = threading.Thread(target=followers.watch, args=(more,), name="xrun-docker-logs", daemon=True)
        watcher.start()
        yield from followers.chunks()


def _merged(engine: Engine, parts: Sequence[Seen], query: LogQuery) -> Iterator[tuple[LogChunk, Seen, str]]:
    def one(c: Seen) -> Iterator[tuple[str, Seen, _Message]]:
        for m in _messages(engine, c, query, follow_=False):
            yield m.stamp, c, m

    for stamp, c, m in heapq.merge(*(one(c) for c in parts), key=lambda row: row[0]):
        yield _chunk(c, m), c, stamp


class _Followers:
    """A thread for each container that is followed, and the queue that they fill."""

    def __init__(self, engine: Engine, query: LogQuery) -> None:
        self._engine, self._query = engine, query
        self._queue: queue.Queue[LogChunk | BaseException | None] = queue.Queue(_QUEUED)
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._open = 1  # the watcher counts as one
        self._stopped = threading.Event()

    def __enter__(self) -> _Followers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def add(self, c: Seen, since: str) -> None:
        """Follows one more container from a time on."""
        with self._lock:
            if c.id in self._known:
                return
            self._known.add(c.id)
            self._open += 1
        threading.Thread(target=self._follow, args=(c, since), name="xrun-docker-log", daemon=True).start()

    def watch(self, more: Callable[[set[str]], Sequence[Seen] | None]) -> None:
        """Adds containers that are made meanwhile, until there won't be any."""
        try:
            while not self._stopped.is_set():
                found = more(set(self._known))
                if found is None:
                    break
                for c in found:
                    self.add(c, "")
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._put(error)
        self._close_one()

    def chunks(self) -> Iterator[LogChunk]:
        """What comes, until all have ended."""
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _follow(self, c: Seen, since: str) -> None:
        try:
            for m in _resumed(self._engine, c, self._query, since, self._stopped):
                if not self._put(_chunk(c, m)):
                    return
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._put(error)
        self._close_one()

    def _close_one(self) -> None:
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._put(None)

    def _put(self, item: LogChunk | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=1)
                return True
            except queue.Full:
                continue
        return False


def _resumed(engine: Engine, c: Seen, query: LogQuery, since: str, stopped: threading.Event) -> Iterator[_Message]:
    """Messages after a time, to the end of the container, whatever happens to the connection."""
    last, lost = since, 0.0
    seen_at_last = {since: -1} if since else {}
    while not stopped.is_set():
        try:
            for m in _messages(engine, c, query, follow_=True, after=last):
                lost = 0.0
                if m.stamp < last or (m.stamp == last and seen_at_last.get(last) == -1):
                    continue
                last = m.stamp
                seen_at_last = {last: -1}
                yield m
            if not _runs(engine, c):
                # what came between the end of the stream and that of the container
                yield from (m for m in _messages(engine, c, query, follow_=False, after=last) if m.stamp > last)
                return
        except BackendUnavailable:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > _AWAY:
                raise
        stopped.wait(_RETRY)


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
    for m in _messages(engine, c, query, follow_=False):
        yield _chunk(c, m)


def _chunk(c: Seen, m: _Message) -> LogChunk:
    from xrun.schedulers.docker import labels

    return LogChunk(c.labels[labels.ROLE].partition(":")[2], c.replica, m.stream, _seconds(m.stamp), m.data)


def _messages(engine: Engine, c: Seen, query: LogQuery, *, follow_: bool, after: str = "") -> Iterator[_Message]:
    """The log of one container that a query is about; a container that is gone has none."""
    since = after or (f"{query.since:.9f}" if query.since is not None else "")
    params: dict[str, Any] = {
        "stdout": query.stream is not Stream.STDERR,
        "stderr": query.stream is not Stream.STDOUT,
        "timestamps": True,
        "follow": follow_,
        "since": _unix(since) if after else since or "0",
        "until": f"{query.until:.9f}" if query.until is not None else "0",
    }
    try:
        with engine.logs(c.id, params) as stream:
            yield from _frames(stream)
    except Refused as error:
        if error.status != NOT_THERE:
            raise


def _frames(stream: Any) -> Iterator[_Message]:
    cut: set[Stream] = set()
    while True:
        head = _exactly(stream, _HEAD)
        body = None if head is None else _exactly(stream, int.from_bytes(head[4:], "big"))
        if head is None or body is None:
            return
        stamp, _, data = body.partition(b" ")
        which = _STREAMS.get(head[0], Stream.STDOUT)
        if which in cut:
            data = b"\n" + data
        # engine 20.10 keeps a long line in pieces of this size and drops the newline behind the last, shorter one
        (cut.discard if data.endswith(b"\n") or len(data) >= _PIECE else cut.add)(which)
        yield _Message(_padded(stamp.decode("ascii", "replace")), which, data)


def _exactly(stream: Any, count: int) -> bytes | None:
    parts = []
    while count:
        data = stream.read(count)
        if not data:
            return None
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def _padded(stamp: str) -> str:
    """The engine drops trailing zeros of the fraction; with them stamps compare as texts do."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"


def _unix(stamp: str) -> str:
    whole, _, fraction = stamp.partition(".")
    return f"{int(datetime.fromisoformat(whole + '+00:00').timestamp())}.{fraction or '0'}"


def _seconds(stamp: str) -> float:
    return float(_unix(stamp))
