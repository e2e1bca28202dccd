"""One app's replicas as processes of this machine, from the first start to the verdict.

For every backend whose system gives it a process and no more: a thread (memory), a command in a queue (`supervise`).
What happens goes to a `Record`; the rules are `Lifecycle`'s. Asleep unless something happens.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from xrun.schedulers import outcome, replica
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.lifecycle import Action, Finish, Key, Lifecycle, Phase, Start, Stop
from xrun.schedulers.logs import LogChunk, Stream
from xrun.schedulers.process import Process
from xrun.specs import macros
from xrun.specs.options import CommonOptions
from xrun.specs.role import Role
from xrun.specs.states import AppState
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

CAPABILITIES = Capabilities(
    secrets=frozenset({"env", "file"}),
    gpus=False,
    unused=frozenset({"image", "resource.devices", "resource.capabilities"}),
)
"""What a gang honours: all but mounts, GPUs, workspaces and Kubernetes' secrets; cpu and memMB are not enforced."""

RANK0 = "localhost"

_STATES = {Phase.STOPPED: AppState.CANCELLED, Phase.SUCCEEDED: AppState.SUCCEEDED, Phase.FAILED: AppState.FAILED}
_TAIL = 4096  # bytes of stderr in which the last error is looked for


class Record(Protocol):
    """Who keeps what happens; called from the thread that runs the gang."""

    def status(self, status: AppStatus) -> None:
        """The app as it is now; nobody changes it any more."""

    def output(self, chunk: LogChunk) -> None:
        """Something was written."""


@dataclass(frozen=True)
class Surroundings:
    """What the moment of submission adds to a job.

    Attributes:
        env: what replicas inherit.
        secrets: for each role, env name -> value.
        workdir: their working directory.
    """

    env: Mapping[bytes, bytes]
    secrets: Sequence[Mapping[str, bytes]]
    workdir: str


def inherited(options: CommonOptions) -> dict[bytes, bytes]:
    """What replicas inherit of this process's environment, as the option ``inherit_env`` says."""
    return replica.inherited_env(os.environb, os.path.dirname(sys.executable)) if options.inherit_env else {}


def pending(roles: Sequence[Role], submitted: float) -> AppStatus:
    """The status of an app of which nothing has started."""
    host = os.uname().nodename
    every = [
        RoleStatus(role.name, [ReplicaStatus(k, AppState.PENDING, role.name, host) for k in range(role.num_replicas)])
        for role in roles
    ]
    return AppStatus(AppState.PENDING, roles=every, submitted=submitted)


class Gang:
    """Runs one app to its end.

    Args:
        app_id: its id.
        handle: its handle.
        roles: its roles; nobody changes them any more.
        options: its time limit and grace period.
        around: what it runs in.
        submitted: when it was submitted, Unix time.
        record: who is told.
    """

    def __init__(
        self,
        app_id: str,
        handle: str,
        roles: Sequence[Role],
        options: CommonOptions,
        around: Surroundings,
        submitted: float,
        record: Record,
    ) -> None:
        self._app_id, self._handle, self._roles = app_id, handle, roles
        self._options, self._around, self._record = options, around, record
        self._life = Lifecycle(roles)
        self._status = pending(roles, submitted)
        self._replicas = {(r, k.id): k for r, role in enumerate(self._status.roles) for k in role.replicas}
        self._changed = False
        self._last_output: dict[Key, bytes] = {}
        self._running: dict[Key, Process] = {}
        self._unstarted: deque[tuple[Key, int, str]] = deque()
        self._deadline: float | None = None
        self._finish: Finish | None = None
        self._selector = selectors.DefaultSelector()
        self._errors = tempfile.mkdtemp(prefix="xrun-")
        self._wakeup = os.eventfd(0)

    def cancel(self) -> None:
        """Begins to stop the app, from any thread or signal handler; not after `run` has returned."""
        os.eventfd_write(self._wakeup, 1)

    def run(self) -> None:
        """Runs the app, once; its last status is recorded when nothing of it is left."""
        try:
            with self._selector:
                self._selector.register(self._wakeup, selectors.EVENT_READ, self._woken)
                if self._options.max_runtime > 0:
                    self._deadline = time.monotonic() + self._options.max_runtime
                self._status.state = AppState.RUNNING
                self._do(self._life.start())
                while self._finish is None:
                    self._publish()
                    if self._unstarted:
                        self._ended(*self._unstarted.popleft(), detail="")
                    else:
                        self._step()
        finally:
            for process in self._running.values():  # there are some only if this thread broke
                process.bury()
                process.close()
            shutil.rmtree(self._errors, ignore_errors=True)
            finish = self._finish or Finish(AppState.FAILED, "what ran it broke", None)
            self._status.state, self._status.msg, self._status.ended = finish.state, finish.reason, time.time()
            if finish.failed:
                self._status.structured_error_msg = self._replicas[finish.failed].structured_error_msg
            self._changed = True
            self._publish()

    def close(self) -> None:
        """Lets go of what `cancel` needs."""
        os.close(self._wakeup)

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
            reason = f"stopped after max_runtime, {self._options.max_runtime:g} s"
            self._do(self._life.stop(AppState.FAILED, reason))

    def _woken(self) -> None:
        os.eventfd_read(self._wakeup)
        self._do(self._life.stop(AppState.CANCELLED, "cancelled"))

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Stop) and action.key in self._running:
                self._running[action.key].signal(signal.SIGTERM)
                self._running[action.key].kill_at = time.monotonic() + self._options.grace_period
            elif isinstance(action, Start):
                self._start(action.key, action.attempt)
            elif isinstance(action, Finish):
                self._finish = action

    def _start(self, key: Key, attempt: int) -> None:
        """Starts an attempt; one that can't be started ends in the next step."""
        role = self._roles[key[0]]
        path = os.path.join(self._errors, f"{key[0]}.{key[1]}.{attempt}.json")
        values = replica.replica_values(self._app_id, role, self._around.workdir, key[1])
        words = replica.encode(macros.substitute(w, values) for w in (role.entrypoint, *role.args))
        fresh = ReplicaStatus(key[1], AppState.RUNNING, role.name, self._replicas[key].hostname, attempt=attempt)
        try:
            process = Process(attempt, path, words, self._env(key, attempt, path, values), self._around.workdir)
        except OSError as error:
            self._set(key, fresh)
            # PATH is searched for the name with its macros replaced, so that's the one to show
            self._unstarted.append((key, *outcome.unstarted(macros.substitute(role.entrypoint, values), error)))
            return
        self._running[key] = process
        self._selector.register(process.pidfd, selectors.EVENT_READ, partial(self._exited, key))
        for fd, stream in process.pipes.items():
            self._selector.register(fd, selectors.EVENT_READ, partial(self._readable, key, fd, stream))
        self._set(key, replace(fresh, native_id=str(process.pid), started=time.time()))

    def _env(self, key: Key, attempt: int, error_file: str, values: Mapping[str, str]) -> dict[bytes, bytes]:
        role = self._roles[key[0]]
        contract = replica.contract_env(
            app_id=self._app_id,
            handle=self._handle,
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
        error = (outcome.error_line(detail) or outcome.last_line(self._last_output.get(key, b""))) if code else ""
        self._ended(key, code, error, detail if code else "")

    def _ended(self, key: Key, code: int, error: str, detail: str) -> None:
        status = replace(self._replicas[key], ended=time.time(), error=error, structured_error_msg=detail or NONE)
        if code < 0:
            status.signal = outcome.signal_name(-code)
        else:
            status.exit_code = code
        actions = self._life.exited(key, code == 0, f"{status.outcome}: {error}" if error else status.outcome)
        status.state = _STATES.get(self._life.phase(key), AppState.FAILED)
        self._set(key, status)
        self._do(actions)

    def _note(self, key: Key, stream: Stream, data: bytes) -> None:
        if stream is Stream.STDERR:
            self._last_output[key] = (self._last_output.get(key, b"") + data)[-_TAIL:]
        self._record.output(LogChunk(self._roles[key[0]].name, key[1], stream, time.time(), data))

    def _set(self, key: Key, status: ReplicaStatus) -> None:
        self._replicas[key] = self._status.roles[key[0]].replicas[key[1]] = status
        self._changed = True

    def _publish(self) -> None:
        """Before the next step, so that whoever reads output finds its replica running."""
        if self._changed:
            self._changed = False
            roles = [RoleStatus(r.role, list(r.replicas)) for r in self._status.roles]
            self._record.status(replace(self._status, roles=roles, num_restarts=self._life.num_restarts))


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""
