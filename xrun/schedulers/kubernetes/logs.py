"""What pods wrote: many containers side by side, connections made again, and of pods that are gone what was kept."""

from __future__ import annotations

import collections
import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import NamedTuple

from xrun.errors import BackendUnavailable
from xrun.schedulers.following import Followers
from xrun.schedulers.kubernetes import kept, objects
from xrun.schedulers.kubernetes.client import AWAY, POD, Cluster, NodeUnavailable, Refused
from xrun.schedulers.kubernetes.lines import Line, Position, parse
from xrun.schedulers.kubernetes.objects import Found, Pod
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.schedulers.logs import Stream as Output
from xrun.schedulers.streams import Streams

_RETRY = 0.3
_IDLE = 120.0  # seconds without a byte after which a log is asked for anew, in case the line was cut unheard
_KEEPS = 0.5
_NOT_YET = (400, 404)  # the container has not begun, or the pod is gone
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
    def log_key(self) -> tuple[str, str]:
        """Which log this is."""
        return self.pod.uid, self.container

    @property
    def replica_key(self) -> tuple[str, int, str]:
        """The replica's container of which this is one attempt."""
        return self.pod.role, self.pod.replica, self.container


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


def read(cluster: Cluster, parts: Sequence[Part], query: LogQuery, notice: Callable[[str], None]) -> Iterator[LogChunk]:
    """What containers wrote so far, in order of time.

    Args:
        cluster: where.
        parts: the logs there are.
        query: which part of them.
        notice: takes lines about logs of nodes that don't answer, if others do.
    """
    lost: list[tuple[Part, NodeUnavailable]] = []

    def chunks(part: Part) -> Iterator[LogChunk]:
        try:
            yield from _chunks(cluster, part, query, Position())
        except NodeUnavailable as error:
            lost.append((part, error))

    for i in range(0, len(parts), _AT_ONCE):
        yield from heapq.merge(*map(chunks, parts[i : i + _AT_ONCE]), key=lambda chunk: chunk.time)
    if lost and len(lost) == len(parts):
        raise lost[0][1]
    for part, error in lost:
        notice(f"the log of {part.pod.role}/{part.pod.replica} is not all there: {error}")


def follow(
    cluster: Cluster,
    parts: Sequence[Part],
    query: LogQuery,
    more: Callable[[set[tuple[str, str]]], Sequence[Part] | None],
    wake: Callable[[], None],
) -> Iterator[LogChunk]:
    """What containers wrote and write, until the app has ended and all is read.

    Args:
        cluster: where.
        parts: the logs there are.
        query: which part of them.
        more: as `Followers` takes it.
        wake: the same.
    """
    positions: dict[tuple[str, str], Position] = collections.defaultdict(Position)

    def history(part: Part) -> Iterator[LogChunk]:
        lost = 0.0
        while True:
            try:
                for chunk in _chunks(cluster, part, query, positions[part.log_key]):
                    lost = 0.0
                    yield chunk
                return
            except NodeUnavailable:
                return  # others needn't wait for it
            except BackendUnavailable:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > AWAY:
                    raise
            time.sleep(_RETRY)

    for i in range(0, len(parts), _AT_ONCE):
        yield from heapq.merge(*map(history, parts[i : i + _AT_ONCE]), key=lambda chunk: chunk.time)

    def rest(part: Part, streams: Streams) -> Iterator[LogChunk]:
        return (_chunk(part, line) for line in resumed(cluster, part, query, positions[part.log_key], streams))

    yield from Followers("kubernetes", rest, more, wake).chunks(parts)


def resumed(cluster: Cluster, part: Part, query: LogQuery, position: Position, streams: Streams) -> Iterator[Line]:
    """Lines after a position, to the end of the container, whatever happens to the connection."""
    stopped = streams.closed
    lost, restarts = 0.0, 0 if position.is_new else part.pod.restarts.get(part.container, 0)
    while not stopped.is_set():
        try:
            if part.container in part.pod.restarts and (again := _restarts(cluster, part)) > restarts:
                # what it wrote before it was started anew, and may not have been read
                restarts = again
                yield from _lines(cluster, part, query, position, follow_=False, previous=True)
            for line in _lines(cluster, part, query, position, follow_=True, streams=streams):
                lost = 0.0
                yield line
            state = None if part.is_kept else _look(cluster, part)
            lost = 0.0
            if state is None and not part.is_kept:
                part = part._replace(is_kept=True)
                stopped.wait(_KEEPS)  # whoever removed it may be about to keep what it wrote
            if state is None or state.over or part.container in state.finished:
                # what came between the end of the stream and that of the container
                yield from _lines(cluster, part, query, position, follow_=False)
                return
        except BackendUnavailable:
            lost = lost or time.monotonic()
            if time.monotonic() - lost > AWAY:
                raise
        stopped.wait(_RETRY)


def _restarts(cluster: Cluster, part: Part) -> int:
    there = _look(cluster, part)
    return there.restarts.get(part.container, 0) if there is not None else 0


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


def _chunks(cluster: Cluster, part: Part, query: LogQuery, position: Position) -> Iterator[LogChunk]:
    """What there is; of a container that was started anew the kubelet has the log before, which may be all there is."""
    for previous in [True, False] if not part.is_kept and part.pod.restarts.get(part.container) else [False]:
        for line in _lines(cluster, part, query, position, follow_=False, previous=previous):
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
            line
            for line in kept.lines(cluster, part.namespace, part.pod, part.container)
            if first is None or line.second >= first
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
