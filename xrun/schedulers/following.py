"""Several logs that are followed side by side: a thread for each, and one queue that they fill."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

from xrun.schedulers.logs import LogChunk

_QUEUED = 256


class Followed(Protocol):
    """The log of one attempt of a replica."""

    @property
    def log_key(self) -> Hashable:
        """Tells it from others."""

    @property
    def replica_key(self) -> Hashable:
        """Tells the replica's logs from others'."""


class Stop:
    """Tells readers to stop: those that wait for a time as well as those that wait for bytes."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._read: dict[int, Callable[[], None]] = {}

    def is_set(self) -> bool:
        """Whether they are to stop."""
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        """Waits some seconds, or until they are to stop; whether they are."""
        return self._event.wait(timeout)

    def set(self) -> None:
        """Stops them."""
        with self._lock:
            self._event.set()
            read = list(self._read.values())
        for hang_up in read:
            hang_up()

    @contextmanager
    def ends(self, response: Any) -> Iterator[None]:
        """While an answer is read; it ends when readers are to stop.

        Args:
            response: urllib3's.
        """

        def hang_up() -> None:
            # urllib3 before 2.3 can't shut an answer down, and closing it may wait for whoever reads it
            with suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
                getattr(response, "shutdown", response.close)()

        with self._lock:
            self._read[id(response)] = hang_up
            late = self._event.is_set()
        try:
            if late:
                hang_up()
            yield
        finally:
            with self._lock:
                self._read.pop(id(response), None)


T = TypeVar("T", bound=Followed)


class Followers(Generic[T]):
    """Follows logs, and those that are made meanwhile, until there won't be any more.

    Args:
        name: the system's, for the names of threads.
        read: what is read of one log, to its end, whatever happens to the connection.
        more: given the keys of the logs that are followed or done, those there are beside them, after a change or
            some seconds; None once there won't be any.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[T, Stop], Iterator[LogChunk]],
        more: Callable[[set[Hashable]], Sequence[T] | None],
    ) -> None:
        self._name, self._read, self._more = name, read, more
        self._queue: queue.Queue[LogChunk | BaseException | None] = queue.Queue(_QUEUED)
        self._lock = threading.Lock()
        self._known: set[Hashable] = set()
        self._latest: dict[Hashable, threading.Event] = {}  # replica -> the last of its attempts is read
        self._open = 1  # the watcher counts as one
        self._stop = Stop()

    def chunks(self, there: Iterable[T]) -> Iterator[LogChunk]:
        """What comes, until all have ended. All threads stop when nobody reads on.

        Args:
            there: the logs there are, attempts of one replica in order.
        """
        try:
            for one in there:
                self._add(one)
            threading.Thread(target=self._watch, name=f"xrun-{self._name}-logs", daemon=True).start()
            while (item := self._queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._stop.set()

    def _add(self, one: T) -> None:
        with self._lock:
            if one.log_key in self._known:
                return
            self._known.add(one.log_key)
            self._open += 1
            before, done = self._latest.get(one.replica_key), threading.Event()
            self._latest[one.replica_key] = done
        words = (one, before, done)
        threading.Thread(target=self._follow, args=words, name=f"xrun-{self._name}-log", daemon=True).start()

    def _watch(self) -> None:
        try:
            while not self._stop.is_set() and (found := self._more(set(self._known))) is not None:
                for one in found:
                    self._add(one)
        except Exception as error:  # noqa: BLE001 - raised where it is read
            self._put(error)
        self._close_one()

    def _follow(self, one: T, before: threading.Event | None, done: threading.Event) -> None:
        try:
            while before is not None and not before.wait(1):  # the attempt before comes first
                if self._stop.is_set():
                    return
            for chunk in self._read(one, self._stop):
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
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=1)
                return True
            except queue.Full:
                continue
        return False
