"""The answers that are being read for one purpose, so that whoever is done with it ends them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from xrun.schedulers.kubernetes.client import Stream


class Streams:
    """Answers that come bit by bit, read by several threads until they are closed together."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        """Set once nothing more is to be read."""
        self._lock = threading.Lock()
        self._open: set[Stream] = set()

    @contextmanager
    def held(self, stream: Stream) -> Iterator[Stream]:
        """Has an answer end when these are closed; at once, if they are."""
        with self._lock:
            self._open.add(stream)
        try:
            if self.closed.is_set():  # while the connection was made
                stream.hang_up()
            yield stream
        finally:
            with self._lock:
                self._open.discard(stream)

    def close(self) -> None:
        """Ends all of them, whoever reads them."""
        self.closed.set()
        with self._lock:
            streams = list(self._open)
        for stream in streams:
            stream.hang_up()
