"""One job as others see it: the thread that runs its gang, its status, its output."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from xrun.schedulers.gang import Gang, Surroundings, pending
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery
from xrun.schedulers.memory.request import MemoryRequest
from xrun.specs.states import is_terminal
from xrun.specs.status import AppStatus, RoleStatus


class App:
    """Runs one job to its end; what others may see is read and written under ``changed``.

    Args:
        request: the job.
        around: what it runs in.
        changed: notified after every change of any app of the scheduler.
    """

    def __init__(self, request: MemoryRequest, around: Surroundings, changed: threading.Condition) -> None:
        now = time.time()
        self._changed = changed
        self._status = pending(request.app.roles, now)
        self._chunks: list[LogChunk] = []
        self._gang = Gang(request.app_id, request.handle, request.app.roles, request.options, around, now, self)
        self._thread = threading.Thread(target=self._gang.run, name=f"xrun-{request.app_id}", daemon=True)

    # --- for others ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the job."""
        self._thread.start()

    def cancel(self) -> None:
        """Begins to stop the job; does nothing once it has ended."""
        with self._changed:
            if not is_terminal(self._status.state):
                self._gang.cancel()

    def join(self) -> None:
        """Waits until the job has ended and its thread too."""
        self._thread.join()

    def describe(self) -> AppStatus:
        """Where the job is."""
        with self._changed:
            roles = [RoleStatus(r.role, [replace(k) for k in r.replicas]) for r in self._status.roles]
            return replace(self._status, roles=roles)

    def read(self, query: LogQuery) -> Iterator[LogChunk]:
        """The output asked for, in order of arrival."""
        at = 0
        waits = False
        while True:
            with self._changed:
                while waits and at == len(self._chunks) and not is_terminal(self._status.state):
                    self._changed.wait()
                fresh, ended = self._chunks[at:], is_terminal(self._status.state)
            at += len(fresh)
            yield from filter(query.takes, fresh)
            if ended or not query.follow:
                return
            if not waits:
                yield CAUGHT_UP
            waits = True

    # --- the gang's record -----------------------------------------------------------------------------------------

    def status(self, status: AppStatus) -> None:
        """Where the job is now."""
        with self._changed:
            self._status = status
            if is_terminal(status.state):
                self._gang.close()
            self._changed.notify_all()

    def output(self, chunk: LogChunk) -> None:
        """What a replica wrote."""
        with self._changed:
            self._chunks.append(chunk)
            self._changed.notify_all()
