"""Answers that come bit by bit, and what ends those that are read for one purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_BLOCK = 1 << 16


class Stream:
    """An answer that comes bit by bit.

    Args:
        response: urllib3's.
    """

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.stream(_BLOCK, decode_content=False)

    def lines(self) -> Iterator[bytes]:
        """Its lines, each without its end."""
        rest = b""
        for data in self:
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def hang_up(self) -> None:
        """Ends it, whoever reads it."""
        end = getattr(self._response, "shutdown", None)  # urllib3 has it since 2.3
        try:
            if end is not None:
                end()
            elif (connection := self._response.connection) is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError, RuntimeError, AttributeError):
            return  # it has ended by itself


class Streams:
    """Streams that are read by several threads until they are closed together."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        """Set once nothing more is to be read."""
        self._lock = threading.Lock()
        self._open: set[Stream] = set()

    @contextmanager
    def held(self, stream: Stream) -> Iterator[Stream]:
        """Has a stream end when these are closed; at once, if they are."""
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
