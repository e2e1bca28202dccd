"""One job: its thread, its processes, its output. Asleep unless something happens."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from xrun.schedulers import outcome, replica
from xrun.schedulers.lifecycle import Action, Finish, Key, Lifecycle, Phase, Start, Stop
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream
from xrun.schedulers.memory.process import Process
from xrun.schedulers.memory.request import RANK0, MemoryRequest
from xrun.specs import macros
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

_STATES = {Phase.STOPPED: AppState.CANCELLED, Phase.SUCCEEDED: AppState.SUCCEEDED, Phase.FAILED: AppState.FAILED}


@dataclass(frozen=True)
class Surroundings:
    """What the moment of submission adds to a request.

    Attributes:
        env: what replicas inherit.
        secrets: for each role, env name -> value.
        workdir: their working directory.
    """

    env: Mapping[bytes, bytes]
    secrets: Sequence[Mapping[str, bytes]]
    workdir: str


class App:
    """Runs one job to its end; what others may see is read and written under ``changed``.

    Args:
        request: the job.
        around: what it runs in.
        changed: notified after every change of any app of the scheduler.
    """

    def __init__(self, request: MemoryRequest, around: Surroundings, changed: threading.Condition) -> None:
        self._request, self._around, self._changed = request, around, changed
        self._roles = request.app.roles
        self._life = Lifecycle(self._roles)
        self._status = AppStatus(AppState.PENDING, submitted=time.time())
        self._replicas = {
            (r, k): ReplicaStatus(k, AppState.PENDING, role.name, hostname=os.uname().nodename)
            for r, role in enumerate(self._roles)
            for k in range(role.num_replicas)
        }
        self._chunks: list[LogChunk] = []
        self._running: dict[Key, Process] = {}
        self._unstarted: deque[tuple[Key, int, str]] = deque()
        self._deadline: float | None = None
        self._finish: Finish | None = None
        self._selector = selectors.DefaultSelector()
        self._errors = tempfile.mkdtemp(prefix="xrun-")
        self._wakeup, self._cancelled = os.eventfd(0), False
        self._thread = threading.Thread(target=self._run, name=f"xrun-{request.app_id}", daemon=True)

    # --- for others ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the job."""
        self._thread.start()

    def cancel(self) -> None:
        """Begins to stop the job; does nothing once it has ended."""
        with self._changed:
            if not is_terminal(self._status.state):
                self._cancelled = True
                os.eventfd_write(self._wakeup, 1)

    def join(self) -> None:
        """Waits until the job has ended and its thread too."""
        self._thread.join()

    def status(self) -> AppStatus:
        """Where the job is."""
        with self._changed:
            known = {key: replace(status) for key, status in self._replicas.items()}
            roles = [
                RoleStatus(role.name, [known[r, k] for k in range(role.num_replicas)])
                for r, role in enumerate(self._roles)
            ]
            return replace(self._status, roles=roles, num_restarts=self._life.num_restarts)

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
            for chunk in fresh:
                late = query.until is not None and chunk.time > query.until
                early = query.since is not None and chunk.time < query.since
                if query.wants(chunk.role, chunk.replica, chunk.stream) and not early and not late:
                    yield chunk
            if ended or not query.follow:
                return
            if not waits:
                yield CAUGHT_UP
            waits = True

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._selector:
                self._selector.register(self._wakeup, selectors.EVENT_READ, self._woken)
                if self._request.options.max_runtime > 0:
                    self._deadline = time.monotonic() + self._request.options.max_runtime
                with self._changed:
                    self._status.state = AppState.RUNNING
                self._do(self._life.start())
                while self._finish is None:
                    if self._unstarted:
                        self._ended(*self._unstarted.popleft(), detail="")
                    else:
                        self._step()
        finally:
            for process in self._running.values():  # there are some only if this thread broke
                process.bury()
                process.close()
            shutil.rmtree(self._errors, ignore_errors=True)
            finish = self._finish or Finish(AppState.FAILED, "the thread that ran it broke", None)
            with self._changed:
                self._status.state, self._status.msg, self._status.ended = finish.state, finish.reason, time.time()
                if finish.failed:
                    self._status.structured_error_msg = self._replicas[finish.failed].structured_error_msg
                os.close(self._wakeup)
                self._changed.notify_all()

    def _step(self) -> None:
        times = [t for t in (self._deadline, *(p.kill_at for p in self._running.values())) if t is not None]
        timeout = max(0.0, min(times) - time.monotonic()) if times else None
        for ready, _ in self._selector.select(timeout):
            if self._selector.get_map().get(ready.fd) is ready:  # an event before may have closed it
                react: Callable[[], None] = ready.data
                react()
        now = time.monotonic()
        for process in self._running.values():
            if process.kill_at is not None and now >= process.kill_at:
                process.kill_at = None
                process.signal(signal.SIGKILL)
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            reason = f"stopped after max_runtime, {self._request.options.max_runtime:g} s"
            self._do(self._life.stop(AppState.FAILED, reason))

    def _woken(self) -> None:
        os.eventfd_read(self._wakeup)
        if self._cancelled:
            self._do(self._life.stop(AppState.CANCELLED, "cancelled"))

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Stop) and action.key in self._running:
                self._running[action.key].signal(signal.SIGTERM)
                self._running[action.key].kill_at = time.monotonic() + self._request.options.grace_period
            elif isinstance(action, Start):
                self._start(action.key, action.attempt)
            elif isinstance(action, Finish):
                self._finish = action

    def _start(self, key: Key, attempt: int) -> None:
        """Starts an attempt; one that can't be started ends in the next step."""
        role = self._roles[key[0]]
        path = os.path.join(self._errors, f"{key[0]}.{key[1]}.{attempt}.json")
        values = replica.replica_values(self._request.app_id, role, self._around.workdir, key[1])
        words = replica.encode(macros.substitute(w, values) for w in (role.entrypoint, *role.args))
        fresh = ReplicaStatus(key[1], AppState.RUNNING, role.name, self._replicas[key].hostname, attempt=attempt)
        try:
            process = Process(attempt, path, words, self._env(key, attempt, path, values), self._around.workdir)
        except OSError as error:
            self._publish(key, fresh)
            self._unstarted.append((key, *outcome.unstarted(role.entrypoint, error)))
            return
        self._running[key] = process
        self._selector.register(process.pidfd, selectors.EVENT_READ, partial(self._exited, key))
        for fd, stream in process.pipes.items():
            self._selector.register(fd, selectors.EVENT_READ, partial(self._readable, key, fd, stream))
        self._publish(key, replace(fresh, native_id=str(process.pid), started=time.time()))

    def _env(self, key: Key, attempt: int, error_file: str, values: Mapping[str, str]) -> dict[bytes, bytes]:
        role = self._roles[key[0]]
        contract = replica.contract_env(
            app_id=self._request.app_id,
            handle=self._request.handle,
            role=role,
            replica_id=key[1],
            attempt=attempt,
            rank0={r.name: RANK0 for r in self._roles},
            error_file=error_file,
        )
        return replica.environment(role, values, contract, self._around.env, self._around.secrets[key[0]])

    def _readable(self, key: Key, fd: int, stream: Stream) -> None:
        data = self._running[key].read(fd)
        if data:
            self._note(key, stream, data)
        elif data is not None:
            self._selector.unregister(fd)

    def _exited(self, key: Key) -> None:
        process = self._running.pop(key)
        code = process.bury()
        for stream, data in process.rest():
            self._note(key, stream, data)
        for fd in (process.pidfd, *process.pipes):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        process.close()
        detail = _read_text(process.error_file)
        error = (outcome.error_line(detail) or self._last_line(key, process.attempt)) if code else ""
        self._ended(key, code, error, detail if code else "")

    def _ended(self, key: Key, code: int, error: str, detail: str) -> None:
        status = replace(self._replicas[key], ended=time.time(), error=error, structured_error_msg=detail or NONE)
        if code < 0:
            status.signal = outcome.signal_name(-code)
        else:
            status.exit_code = code
        actions = self._life.exited(key, code == 0, f"{status.outcome}: {error}" if error else status.outcome)
        status.state = _STATES.get(self._life.phase(key), AppState.FAILED)
        self._publish(key, status)
        self._do(actions)

    def _publish(self, key: Key, status: ReplicaStatus) -> None:
        with self._changed:
            self._replicas[key] = status
            self._changed.notify_all()

    def _note(self, key: Key, stream: Stream, data: bytes) -> None:
        with self._changed:
            self._chunks.append(LogChunk(self._roles[key[0]].name, key[1], stream, time.time(), data))
            self._changed.notify_all()

    def _last_line(self, key: Key, attempt: int) -> str:
        name = self._roles[key[0]].name
        parts = [c.data for c in self._chunks if (c.role, c.replica, c.stream) == (name, key[1], Stream.STDERR)]
        return outcome.last_line(b"".join(parts)[-4096:])


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
