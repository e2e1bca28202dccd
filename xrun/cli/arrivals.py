"""Several streams read at once, in order of arrival and in bounded memory."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_HELD = 8  # items that wait for their reader


class _End:
    """A source has no more."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def arrivals(sources: Sequence[Iterable[T]], tick: float | None = None) -> Iterator[T | None]:
    """What the sources give, as it comes, each read by a thread of its own.

    A source that fails doesn't stop the others: the first error is raised once all have ended. A caller that leaves
    early leaves the threads behind; they end with the process.

    Args:
        sources: what to read.
        tick: seconds after which None is given if nothing has come.
    """
    inbox: queue.Queue[T | _End] = queue.Queue(_HELD)
    for source in sources:
        threading.Thread(target=_read, args=(source, inbox), daemon=True).start()
    left, first_error = len(sources), None
    while left:
        try:
            item = inbox.get(timeout=tick)
        except queue.Empty:
            yield None
            continue
        if isinstance(item, _End):
            left -= 1
            first_error = first_error or item.error
        else:
            yield item
    if first_error is not None:
        raise first_error


def _read(source: Iterable[T], inbox: queue.Queue[T | _End]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
    error: BaseException | None = None
    try:
        for item in source:
            inbox.put(item)
    except BaseException as failed:  # noqa: BLE001 - raised in the reader's thread
        error = failed
    inbox.put(_End(error))
