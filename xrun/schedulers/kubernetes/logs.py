"""What pods wrote: many containers side by side, connections made again, and of pods that are gone what was kept."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from xrun.errors import BackendUnavailable
from xrun.schedulers.kubernetes import kept, objects
from xrun.schedulers.kubernetes.client import AWAY, POD, Cluster, Refused
from xrun.schedulers.kubernetes.lines import Line, Position, parse
from xrun.schedulers.kubernetes.objects import Found, Pod
from xrun.schedulers.kubernetes.streams import Streams
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery
from xrun.schedulers.logs import Stream as Output

_RETRY, _QUEUED = 0.3, 256
_IDLE = 120.0  # seconds without a byte after which a log is asked for anew, in case the line was cut unheard
_KEEPS = 0.5
_NOT_YET = (400, 404)  # the container has not begun, or the pod is gone
_LETS_GO = 2.0  # seconds that threads have to end when a follow is closed
_AT_ONCE = 100  # logs that are read side by side; more are read in groups


class Part(NamedTuple):
    """The log of one container.

    Attributes:
        pod: whose.
        container: which.
        is_kept: whether the pod is gone and its log was kept.
        namespace: where; empty for the cluster's.
    """

    pod: Pod
    container: str
    is_kept: bool
    namespace: str

    @property
    def key(self) -> tuple[str, str]:
        """Which log this is."""
        return self.pod.uid, self.container

    @property
    def replica(self) -> tuple[str, int, str]:
        """The replica's container of which this is one attempt."""
        return self.pod.role, self.pod.replica, self.container


More = Callable[[set[tuple[str, str]]], Sequence[Part] | None]
"""Given the logs that are followed or done, those there are beside them; None once there won't be any.

It waits for a change first, and may find none.
"""


def parts_of(found: Found, namespace: str, query: LogQuery) -> list[Part]:
    """The logs there are that a query is about, attempts of a replica in their order."""
    was_kept = {pod.uid for pod in found.kept}
    parts = []
    for pod in sorted(found.attempts, key=lambda pod: (pod.role, pod.replica, *pod.order)):
        if not query.wants(pod.role, pod.replica, query.stream) or not (pod.started or pod.ended or pod.over):
            continue
        there = any(pod.uid == other.uid for other in found.pods)
        if pod.uid in was_kept and (pod.stopped or not there):
            parts.append(Part(pod, "", True, namespace))
        elif there:
            parts += [Part(pod, name, False, namespace) for name in pod.containers]
    return parts


def read(cluster: Cluster, parts: Sequence[Part], query: LogQuery) -> Iterator[LogChunk]:
    """What containers wrote so far, in order of time."""
    for i in range(0, len(parts), _AT_ONCE):
        some = parts[i : i + _AT_ONCE]
        yield from heapq.merge(*(_chunks(cluster, part, query) for part in some), key=lambda chunk: chunk.time)


def follow(
    cluster: Cluster, parts: Sequence[Part], query: LogQuery, more: More, wake: Callable[[], None]
) -> Iterator[LogChunk]:
    """What containers wrote and write, until the app has ended and all is read.

    Args:
        cluster: where.
        parts: the logs there are.
        query: which part of them.
        more: see `More`.
        wake: ends its waiting; called when nothing more is read.
    """
    positions = {part.key: Position() for part in parts}

    def history(part: Part) -> Iterator[LogChunk]:
        for line in _lines(cluster, part, query, positions[part.key], follow_=False):
            yield _chunk(part, line)

    for i in range(0, len(parts), _AT_ONCE):
        yield from heapq.merge(*map(history, parts[i : i + _AT_ONCE]), key=lambda chunk: chunk.time)
    with _Followers(cluster, query, wake) as followers:
        for part in parts:
            followers.add(part, positions[part.key])
        followers.watch(more)
        yield CAUGHT_UP
        yield from followers.chunks()


class _Followers:
    """A thread for each log that is followed, and the queue that they fill."""

    def __init__(self, cluster: Cluster, query: LogQuery, wake: Callable[[], None]) -> None:
        self._cluster, self._query, self._wake = cluster, query, wake
        self._queue: queue.Queue[LogChunk | BaseException | None] = queue.Queue(_QUEUED)
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()
        self._latest: dict[tuple[str, int, str], threading.Event] = {}  # replica -> its last attempt is read
        self._open = 1  # the watcher counts as one
        self._streams = Streams()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> _Followers:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all threads; one that waits for an answer of a cluster that is away ends by itself later."""
        self._streams.close()
        self._wake()
        with suppress(queue.Empty):  # who waits for room is to see that nobody reads
            while True:
                self._queue.get_nowait()
        end = time.monotonic() + _LETS_GO
        for thread in self._threads:  # grows until the watcher has ended
            thread.join(max(0.0, end - time.monotonic()))

    def add(self, part: Part, position: Position) -> None:
        """Follows one more log from a position on."""
        with self._lock:
            if part.key in self._known:
                return
            self._known.add(part.key)
            self._open += 1
            before, done = self._latest.get(part.replica), threading.Event()
            self._latest[part.replica] = done
        self._start("xrun-kubernetes-log", partial(self._follow, part, position, before, done))

    def watch(self, more: More) -> None:
        """Adds logs of pods that are made meanwhile, until there won't be any."""
        self._start("xrun-kubernetes-logs", partial(self._watch, more))

    def _start(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _watch(self, more: More) -> None:
        try:
            while not self._streams.closed.is_set():
                found = more(set(self._known))
                if found is None:
                    break
                for part in found:
                    self.add(part, Position())
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

    def _follow(self, part: Part, position: Position, before: threading.Event | None, done: threading.Event) -> None:
        try:
            if before is not None:
                before.wait()  # the attempt before comes first
            for line in resumed(self._cluster, part, self._query, position, self._streams):
                if not self._put(_chunk(part, line)):
                    return
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._put(error)
        finally:
            done.set()
            self._close_one()

    def _close_one(self) -> None:
        with self._lock:
            self._open -= 1
            last = self._open == 0
        if last:
            self._put(None)

    def _put(self, item: LogChunk | BaseException | None) -> bool:
        while not self._streams.closed.is_set():
            try:
                self._queue.put(item, timeout=1)
                return True
            except queue.Full:
                continue
        return False


def resumed(cluster: Cluster, part: Part, query: LogQuery, position: Position, streams: Streams) -> Iterator[Line]:
    """Lines after a position, to the end of the container, whatever happens to the connection."""
    stopped = streams.closed
    lost, restarts = 0.0, part.pod.restarted
    while not stopped.is_set():
        try:
            for line in _lines(cluster, part, query, position, follow_=True, streams=streams):
                lost = 0.0
                yield line
            state = None if part.is_kept else _look(cluster, part)
            lost = 0.0
            if state is None and not part.is_kept:
                part = part._replace(is_kept=True)
                stopped.wait(_KEEPS)  # whoever removed it may be about to keep what it wrote
            if state is None or state.over or state.ended:
                # what came between the end of the stream and that of the container
                yield from _lines(cluster, part, query, position, follow_=False)
                return
            if state.restarted > restarts:
                restarts = state.restarted
                position.restart()
                continue
        except BackendUnavailable:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > AWAY:
                raise
        stopped.wait(_RETRY)


def _look(cluster: Cluster, part: Part) -> Pod | None:
    """The pod as it is now; None if it is gone."""
    try:
        raw = cluster.get("look at a pod", cluster.path(POD, part.namespace, part.pod.name))
    except Refused as error:
        if error.status == _NOT_YET[1]:
            return None
        raise
    found = objects.pod_of(raw)
    return found if found is not None and found.uid == part.pod.uid else None


def _chunks(cluster: Cluster, part: Part, query: LogQuery) -> Iterator[LogChunk]:
    if not part.is_kept and part.pod.restarted:
        for line in _lines(cluster, part, query, Position(), follow_=False, previous=True):
            yield _chunk(part, line)
    for line in _lines(cluster, part, query, Position(), follow_=False):
        yield _chunk(part, line)


def _chunk(part: Part, line: Line) -> LogChunk:
    return LogChunk(part.pod.role, part.pod.replica, Output.COMBINED, line.time, line.data)


def _lines(
    cluster: Cluster,
    part: Part,
    query: LogQuery,
    position: Position,
    *,
    follow_: bool,
    previous: bool = False,
    streams: Streams | None = None,
) -> Iterator[Line]:
    """The log of one container that a query is about, from a position on; a container that is gone has none."""
    first = position.since(int(query.since) if query.since is not None else None)
    for line in position.new(_asked(cluster, part, query, first, follow_, previous, streams)):
        late = query.until is not None and line.time > query.until
        if not late and (query.since is None or line.time >= query.since):
            yield line


def _asked(
    cluster: Cluster,
    part: Part,
    query: LogQuery,
    first: int | None,
    follow_: bool,
    previous: bool,
    streams: Streams | None,
) -> Iterator[Line]:
    if part.is_kept:
        yield from (
            line for line in kept.lines(cluster, part.namespace, part.pod) if first is None or line.second >= first
        )
        return
    asked = {"container": part.container, "timestamps": "true"}
    if first is not None:
        asked["sinceTime"] = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    elif query.tail is not None and query.until is None and not query.follow:
        asked["tailLines"] = str(query.tail)
    asked |= {"follow": "true"} if follow_ else {}
    asked |= {"previous": "true"} if previous else {}
    path = cluster.path(POD, part.namespace, part.pod.name, "log")
    try:
        with (
            cluster.stream("read a log", path, asked, _IDLE) as stream,
            streams.held(stream) if streams is not None else nullcontext(),
        ):
            yield from parse(stream)
    except Refused as error:
        if error.status not in _NOT_YET:
            raise
