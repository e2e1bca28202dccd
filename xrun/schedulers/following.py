"""Several logs that are followed side by side: a thread for each, and one queue that they fill."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from xrun.schedulers.logs import CAUGHT_UP, LogChunk
from xrun.schedulers.streams import Streams

_QUEUED = 256
_LETS_GO = 2.0  # seconds that threads have to end when a follow is closed


class Followed(Protocol):
    """The log of one attempt of a replica."""

    @property
    def log_key(self) -> Hashable:
        """Tells it from others."""

    @property
    def replica_key(self) -> Hashable:
        """Tells the replica's logs from others'."""


T = TypeVar("T", bound=Followed)


class Followers(Generic[T]):
    """Follows logs, and those that are made meanwhile, until there won't be any more.

    Args:
        system: for the names of threads.
        read: what is read of one log, to its end, whatever happens to the connection; its streams are to be held.
        more: given the keys of the logs that are followed or done, those there are beside them; None once there won't
            be any. It waits for a change first, and may find none.
        wake: ends its waiting; called when nothing more is read.
    """

    def __init__(
        self,
        system: str,
        read: Callable[[T, Streams], Iterator[LogChunk]],
        more: Callable[[set[Any]], Sequence[T] | None],
        wake: Callable[[], None],
    ) -> None:
        self._system, self._read, self._more, self._wake = system, read, more, wake
        self._queue: queue.Queue[LogChunk | BaseException | None] = queue.Queue(_QUEUED)
        self._lock = threading.Lock()
        self._known: set[Hashable] = set()
        self._latest: dict[Hashable, threading.Event] = {}  # replica -> its last attempt is read
        self._open = 1  # the watcher counts as one
        self._streams = Streams()
        self._threads: list[threading.Thread] = []

    def chunks(self, there: Iterable[T]) -> Iterator[LogChunk]:
        """`CAUGHT_UP`, and what comes, until all have ended.

        Args:
            there: the logs there are, attempts of one replica in order.
        """
        try:
            for one in there:
                self._add(one)
            self._start("logs", self._watch)
            yield CAUGHT_UP
            while (item := self._queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._close()

    def _close(self) -> None:
        """Ends all threads; one that waits for an answer of a system that is away ends by itself later."""
        self._streams.close()
        self._wake()
        with suppress(queue.Empty):  # who waits for room is to see that nobody reads
            while True:
                self._queue.get_nowait()
        end = time.monotonic() + _LETS_GO
        for thread in self._threads:  # grows until the watcher has ended
            thread.join(max(0.0, end - time.monotonic()))

    def _start(self, what: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=f"xrun-{self._system}-{what}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _add(self, one: T) -> None:
        with self._lock:
            if one.log_key in self._known:
                return
            self._known.add(one.log_key)
            self._open += 1
            before, done = self._latest.get(one.replica_key), threading.Event()
            self._latest[one.replica_key] = done
        self._start("log", partial(self._follow, one, before, done))

    def _watch(self) -> None:
        try:
            while not self._streams.closed.is_set() and (found := self._more(set(self._known))) is not None:
                for one in found:
                    self._add(one)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._put(error)
        self._close_one()

    def _follow(self, one: T, before: threading.Event | None, done: threading.Event) -> None:
        try:
            if before is not None:
                before.wait()  # the attempt before comes first
            for chunk in self._read(one, self._streams):
                if not self._put(chunk):
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
