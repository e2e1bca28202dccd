"""Changes on an engine, so that nobody has to look again and again."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from xrun.errors import XrunError
from xrun.schedulers.docker import labels
from xrun.schedulers.docker.client import Engine

_RECONNECT = 0.5
_AGAIN = (0.05, 0.2, 1.0)
"""Seconds after an event at which to look again: the engine tells of an end before its list shows it."""


class Changes:
    """Says when something has happened to an app's containers, or to any that is ours.

    A lost connection is made again and counts as a change, since something may have happened meanwhile.

    Args:
        engine: where.
        app_id: one app, or None for all.
    """

    def __init__(self, engine: Engine, app_id: str | None = None) -> None:
        self._engine = engine
        self._filters = {"type": ["container"], "label": [f"{labels.APP_ID}={app_id}" if app_id else labels.APP_ID]}
        self._changed = threading.Event()
        self._again: list[float] = []
        self._ended = False
        self._stream: object | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="xrun-docker-events", daemon=True)

    def __enter__(self) -> Changes:
        self._thread.start()
        self._ready.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        stream = self._stream
        if stream is not None:
            stream.close()  # type: ignore[attr-defined] # the SDK's CancellableStream

    def wait(self, timeout: float) -> None:
        """Waits for a change since the last call, or for the time to look once more after one.

        Args:
            timeout: seconds to wait at most.
        """
        if self._changed.wait(min([timeout, *(max(0.0, at - time.monotonic()) for at in self._again[:1])])):
            self._changed.clear()
            self._again = [time.monotonic() + delay for delay in _AGAIN]
        elif self._again and time.monotonic() >= self._again[0]:
            self._again.pop(0)

    def _listen(self) -> None:
        while not self._ended:
            try:
                with self._engine.doing("listen to events") as api:
                    stream = api.events(filters=self._filters, decode=True)
                    self._stream = stream
                    self._ready.set()
                    self._changed.set()
                    for _ in stream:
                        self._changed.set()
            except XrunError:
                pass  # the engine is away; who waits asks it and hears so
            except (AttributeError, ValueError):
                pass  # the SDK stumbles over a stream that was closed
            if not self._ended:
                self._changed.set()
                time.sleep(_RECONNECT)
