"""The process that an app belongs to: starts its replicas, watches, restarts, stops, and writes down what happens.

It is single-threaded and asleep unless something happens: a child ends, a log grows, somebody connects, a time is up.
It is forked with everything imported and needs nothing from outside after that.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from xrun.schedulers import outcome, replica
from xrun.schedulers.lifecycle import Action, Finish, Key, Lifecycle, Phase, Start, Stop
from xrun.schedulers.local import RANK0, prctl, processes, state
from xrun.schedulers.local.gpus import GpuLocks
from xrun.schedulers.local.journal import JournalWriter, log_files
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.states import AppState

CANCEL = b"c"
_NEWS = b"."
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
_BREATH = 0.001  # seconds between two looks at logs that grow
_LONGEST = 1e6  # seconds; poll(2) takes no more than 24 days, and waking early does no harm
_LAST_WRITES = 30.0  # seconds that a supervisor on a full disk goes on trying to write the verdict


class Plan(NamedTuple):
    """Everything that the supervisor of one app works from.

    Attributes:
        app_id: the app's id.
        handle: its handle.
        app: the job.
        home: the folder of all xrun state.
        folder: the app's folder.
        env: what replicas inherit.
        secrets: for each role, env name -> value; only ever in memory.
        workdir: working directory of the replicas.
        devices: GPUs to choose from.
        max_runtime: seconds, 0 for no limit.
        grace_period: seconds between SIGTERM and SIGKILL.
    """

    app_id: str
    handle: str
    app: AppDef
    home: str
    folder: str
    env: Mapping[bytes, bytes]
    secrets: Sequence[Mapping[str, bytes]]
    workdir: str
    devices: Sequence[str]
    max_runtime: float
    grace_period: float


@dataclass(eq=False, repr=False)
class _Running:
    """A started attempt of a replica."""

    attempt: int
    error_file: str
    kill_at: float | None = None


@dataclass(eq=False, repr=False)
class Supervisor:
    """Runs one app to its end.

    Args:
        plan: the app.
        events: where to write down what happens.
        listener: the socket on which others wait and cancel.
        wakeup: the read end of the pipe that signals write to.
    """

    plan: Plan
    events: state.RecordWriter
    listener: socket.socket
    wakeup: int
    _life: Lifecycle = field(init=False)
    _journal: JournalWriter = field(init=False)
    _pids: dict[int, Key] = field(default_factory=dict)
    _running: dict[Key, _Running] = field(default_factory=dict)
    _unstarted: deque[tuple[Key, int, str]] = field(default_factory=deque)
    _clients: list[socket.socket] = field(default_factory=list)
    _gpu_ids: dict[Key, str] = field(default_factory=dict)
    _gpus: GpuLocks | None = None
    _deadline: float | None = None
    _finish: Finish | None = None
    _cancel_asked: bool = False
    _last_look: float = 0.0

    def __post_init__(self) -> None:
        roles = self.plan.app.roles
        self._life = Lifecycle(roles)
        self._journal = JournalWriter(self.plan.folder, log_files([(r.name, r.num_replicas) for r in roles]))
        self._log_index = {(r, k): 2 * (sum(x.num_replicas for x in roles[:r]) + k) for r, k in self._keys()}

    def run(self) -> None:
        """Runs the app until it has ended and that is written down."""
        if any(role.resource.gpu > 0 for role in self.plan.app.roles):
            self._gpus = GpuLocks(self.plan.devices)
        prctl.adopt_orphans()
        self._begin()
        while self._finish is None:
            # one that can't be started is no event to wait for, and its retries must leave room for a cancel
            self._wait(0.0 if self._unstarted else self._next_time())
            self._step()
            if self._unstarted:
                key, code, reason = self._unstarted.popleft()
                self._ended(key, code, "", reason)
        self._end(self._finish)

    def close(self) -> None:
        """Closes everything, so that the process may go on to another app; the lock on the record goes last."""
        for client in self._clients:
            client.close()
        self.listener.close()
        self._journal.close()
        if self._gpus is not None:
            self._gpus.close()
        os.chdir("/")
        self.events.close()

    def give_up(self, reason: str) -> None:
        """Ends everything at once and says why, after a fault of our own."""
        processes.kill_descendants()
        self.events.write("state", state=AppState.FAILED.name, reason=reason, final=True)

    def on_signal(self, *_: object) -> None:
        """SIGTERM and SIGINT to the supervisor are a cancel."""
        self._cancel_asked = True

    # --- one round -------------------------------------------------------------------------------------------------

    def _wait(self, until: float | None) -> None:
        poll = select.poll()
        poll.register(self.wakeup, select.POLLIN)
        poll.register(self.listener, select.POLLIN)
        for client in self._clients:
            poll.register(client, select.POLLIN)
        self._journal.listen()
        if self._look():  # what came since the last look gave no signal
            until = 0.0
        timeout = None if until is None else min(max(0.0, until - time.monotonic()), _LONGEST) * 1000
        ready = {fd for fd, _ in poll.poll(timeout)}
        self._journal.ignore()
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
        if self.listener.fileno() in ready:
            self._accept()
        for client in [c for c in self._clients if c.fileno() in ready]:
            self._hear(client)

    def _step(self) -> None:
        pause = self._last_look + _BREATH - time.monotonic()
        if pause > 0:
            time.sleep(pause)  # so that a chatty replica costs no more than this often
        self._look()
        self._reap()
        if self._cancel_asked:
            self._cancel_asked = False
            self._cancel()
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._do(self._life.stop(AppState.FAILED, f"stopped after max_runtime, {self.plan.max_runtime:g} s"))
        overdue = [key for key, run in self._running.items() if run.kill_at is not None and now >= run.kill_at]
        if overdue:
            for key in overdue:
                self._running[key].kill_at = now + 1.0  # what was forked meanwhile gets it next time
            self._signal(overdue, signal.SIGKILL)

    def _look(self) -> bool:
        grown = self._journal.look()
        if grown:
            self._last_look = time.monotonic()
            self._notify()
        return grown

    def _next_time(self) -> float | None:
        times = [run.kill_at for run in self._running.values() if run.kill_at is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        if not self.events.flush():
            times.append(time.monotonic() + 1.0)
        if self._journal.deaf:
            times.append(time.monotonic() + 0.1)
        return min(times) if times else None

    # --- replicas --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Starts everything, or waits for GPUs."""
        if self._gpus is not None:
            needed = sum(max(0, r.resource.gpu) * r.num_replicas for r in self.plan.app.roles)
            ids = self._gpus.take(needed)
            if ids is None:
                self._record("PENDING", f"waiting for {needed} of {len(self.plan.devices)} GPUs to be free")
                self._gpus.wait_for_change()
                return
            for key in self._keys():
                count = max(0, self.plan.app.roles[key[0]].resource.gpu)
                self._gpu_ids[key], ids = ",".join(ids[:count]), ids[count:]
        if self.plan.max_runtime > 0:
            self._deadline = time.monotonic() + self.plan.max_runtime
        self._record("RUNNING", "")
        self._do(self._life.start())

    def _do(self, actions: Sequence[Action]) -> None:
        restarts = self._life.num_restarts
        stops = [a.key for a in actions if isinstance(a, Stop)]
        if stops:
            self._signal(stops, signal.SIGTERM)
            for key in stops:
                self._running[key].kill_at = time.monotonic() + self.plan.grace_period
        if any(isinstance(a, Start) and a.attempt for a in actions):
            self._record("RUNNING", "", restarts=restarts)
        for action in actions:
            if isinstance(action, Start):
                failure = self._start(action.key, action.attempt)
                if failure:
                    self._unstarted.append((action.key, *failure))
            elif isinstance(action, Finish):
                self._finish = action

    def _start(self, key: Key, attempt: int) -> tuple[int, str] | None:
        """Starts an attempt; an exit code and a reason if it can't be started."""
        role = self.plan.app.roles[key[0]]
        error_file = os.path.join(self.plan.folder, state.error_name(role.name, key[1], attempt))
        run = _Running(attempt, error_file)
        self._running[key] = run
        stdout, stderr = (
            os.path.join(self.plan.folder, state.log_name(role.name, key[1], s)) for s in ("stdout", "stderr")
        )
        values = replica.replica_values(self.plan.app_id, role, self.plan.workdir, key[1])
        words = replica.encode(macros.substitute(w, values) for w in (role.entrypoint, *role.args))
        try:
            pid = processes.start(words, self._env(key, attempt, error_file, values), self.plan.workdir, stdout, stderr)
        except OSError as error:
            return outcome.unstarted(role.entrypoint, error)
        self._pids[pid] = key
        self.events.write("start", r=key[0], k=key[1], a=attempt, pid=pid, ps=processes.start_time(pid))
        return None

    def _env(self, key: Key, attempt: int, error_file: str, values: Mapping[str, str]) -> dict[bytes, bytes]:
        role = self.plan.app.roles[key[0]]
        contract = replica.contract_env(
            app_id=self.plan.app_id,
            handle=self.plan.handle,
            role=role,
            replica_id=key[1],
            attempt=attempt,
            rank0={r.name: RANK0 for r in self.plan.app.roles},
            error_file=error_file,
        )
        if self._gpu_ids.get(key):
            contract["CUDA_VISIBLE_DEVICES"] = self._gpu_ids[key]
        return replica.environment(role, values, contract, self.plan.env, self.plan.secrets[key[0]])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            key = self._pids.pop(pid, None)
            if key is not None:
                self._end_rest(pid, key)
                code = os.waitstatus_to_exitcode(status)
                self._ended(key, max(code, 0), outcome.signal_name(-code) if code < 0 else "", "")
            elif self._gpus is not None and self._gpus.waiter_ended(pid) and not self._life.ending:
                self._begin()

    def _end_rest(self, leader: int, key: Key) -> None:
        """A replica lives as long as its first process, as in a container; what it left behind is ended."""
        if processes.children(os.getpid()) - self._pids.keys():
            self._signal_leaders({leader: key}, signal.SIGKILL)

    def _ended(self, key: Key, code: int, sig: str, reason: str) -> None:
        run = self._running.pop(key)
        ok = code == 0 and not sig
        error, detail = ("", "") if ok else self._last_error(key, run, reason)
        how = sig or f"exit {code}"
        actions = self._life.exited(key, ok, f"{how}: {error}" if error else how)
        phase = "CANCELLED" if self._life.phase(key) is Phase.STOPPED else "SUCCEEDED" if ok else "FAILED"
        ending: dict[str, Any] = {"sig": sig} if sig else {"code": code}
        if error:
            ending |= {"err": error, "detail": detail}
        self.events.write("exit", r=key[0], k=key[1], a=run.attempt, state=phase, **ending)
        self._do(actions)
        self._notify()

    def _last_error(self, key: Key, run: _Running, reason: str) -> tuple[str, str]:
        """(one line, the error file's text): from the error file, else what stopped it from starting, else stderr."""
        detail = _read_regular(run.error_file)
        line = outcome.error_line(detail) or reason or self._journal.last_line(self._log_index[key] + 1)
        return line[:500], detail[:4096]

    def _signal(self, keys: Sequence[Key], number: int) -> None:
        leaders = {pid: key for pid, key in self._pids.items() if key in keys}
        self._signal_leaders(leaders, number)

    def _signal_leaders(self, leaders: Mapping[int, Key], number: int) -> None:
        """A signal to all of some replicas; a leader may have ended, then its rest gets it."""
        marks = {pid: self._mark(key) for pid, key in {**self._pids, **leaders}.items()}
        processes.signal_replicas(set(leaders), number, marks)

    def _mark(self, key: Key) -> bytes:
        """What no other replica has in its environment."""
        return b"XRUN_ERROR_FILE=" + self._running[key].error_file.encode("utf-8", "surrogateescape")

    # --- whoever waits ---------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        _, uid, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.getuid()):
            client.close()
            return
        client.setblocking(False)
        self._clients.append(client)
        self._tell(client)  # something may have happened between its connecting and now

    def _hear(self, client: socket.socket) -> None:
        try:
            word = client.recv(16)
        except OSError:
            word = b""
        if not word:
            self._clients.remove(client)
            client.close()
        elif CANCEL in word:
            self._cancel_asked = True

    def _cancel(self) -> None:
        if self._gpus is not None:
            self._gpus.stop_waiting()
        self._do(self._life.stop(AppState.CANCELLED, "cancelled"))

    def _notify(self) -> None:
        for client in self._clients:
            self._tell(client)

    def _tell(self, client: socket.socket) -> None:
        try:
            client.send(_NEWS)
        except OSError:
            pass  # it has news to read already, or has hung up, perhaps after a word that is still to be heard

    # --- the end ---------------------------------------------------------------------------------------------------

    def _end(self, finish: Finish) -> None:
        if processes.has_children():  # of a replica whose end was seen before its last fork
            processes.kill_descendants()
        self._journal.look()
        extra = {"failed": list(finish.failed)} if finish.failed else {}
        self._record(finish.state.name, finish.reason, restarts=self._life.num_restarts, final=True, **extra)
        give_up = time.monotonic() + _LAST_WRITES
        while not self.events.flush() and time.monotonic() < give_up:
            time.sleep(0.2)

    def _record(self, name: str, reason: str, **more: Any) -> None:
        self.events.write("state", state=name, **({"reason": reason} if reason else {}), **more)
        self._notify()

    def _keys(self) -> list[Key]:
        return [(r, k) for r, role in enumerate(self.plan.app.roles) for k in range(role.num_replicas)]


def _read_regular(path: str) -> str:
    """The beginning of a file that a program may have made anything of, a pipe that never ends included."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(1 << 16).decode("utf-8", "replace")
    except OSError:
        pass
    return ""
