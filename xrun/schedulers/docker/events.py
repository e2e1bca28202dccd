"""Changes on an engine, so that nobody has to look again and again."""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Any

from xrun.errors import XrunError
from xrun.schedulers import outcome
from xrun.schedulers.docker import labels
from xrun.schedulers.docker.client import Engine

AWAY = 120.0
"""Seconds without an engine after which who follows or waits gives up."""

_RECONNECT = 0.5
_TOLD_LATER = 0.05  # seconds after an end in which the engine may tell of the signal that caused it
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
        self._stream: Any = None
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
        if self._stream is not None:
            with contextlib.suppress(AttributeError, OSError):  # it has ended by itself
                self._stream.close()

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

    def wake(self) -> None:
        """Ends the waiting."""
        self._changed.set()

    def _listen(self) -> None:
        while not self._ended:
            try:
                with self._engine.doing("listen to events") as api:
                    stream = api.events(filters=self._filters, decode=True)
                    self._stream = stream
                    if self._ended:  # who waited left before there was a stream to close
                        stream.close()
                    self._ready.set()
                    self._changed.set()
                    for _ in stream:
                        self._changed.set()
            except XrunError:
                pass  # the engine is away; who waits asks it and hears so
            except (AttributeError, ValueError):
                pass  # the SDK stumbles over a stream that was closed
            self._ready.set()  # or who begins to wait stands still until the engine is back
            if not self._ended:
                self._changed.set()
                time.sleep(_RECONNECT)


def sent_signal(engine: Engine, container: str, started: float, ended: float) -> str:
    """The signal that somebody had the engine send to a container, as ``SIGTERM``; empty if none is known of.

    The engine remembers its last 256 events, and none from before its own start.
    """
    found = ""
    with engine.doing("look at events") as api:
        filters = {"type": ["container"], "container": [container], "event": ["kill"]}
        # by the engine's own clock; a later moment it would wait for
        until = f"{ended + _TOLD_LATER:.9f}"
        stream = api.events(since=int(started), until=until, filters=filters, decode=True)
        with contextlib.closing(stream):
            for event in stream:
                number = (event.get("Actor", {}).get("Attributes") or {}).get("signal", "")
                if not found and number.isdigit():
                    found = outcome.signal_name(int(number))
    return found
