"""The process that runs one app and writes all that happens into the file ``journal`` of its folder.

``python -m xrun_example_scheduler.supervise FOLDER STOP``: the pipe STOP, in which a byte means cancel, is handed over
open, and so is the locked file that shows that the app is looked after.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from xrun.schedulers import replica
from xrun.schedulers.lifecycle import Action, Finish, Key, Lifecycle, Phase, Start, Stop
from xrun.specs import macros
from xrun.specs.serialize import from_dict
from xrun.specs.states import AppState

_ENDS = {Phase.STOPPED: "CANCELLED", Phase.SUCCEEDED: "SUCCEEDED", Phase.FAILED: "FAILED"}


class Supervisor:
    """Runs an app to its end."""

    def __init__(self, folder: str, stop: int) -> None:
        with open(os.path.join(folder, "app.json"), encoding="utf-8") as file:
            self.head = json.load(file)
        self.folder, self.stop_pipe = folder, stop
        self.role = from_dict(self.head["app"]).roles[0]
        self.life = Lifecycle([self.role])
        self.selector = selectors.DefaultSelector()
        self.children: dict[Key, subprocess.Popen[bytes]] = {}
        self.unstarted: list[tuple[Key, int, str]] = []
        self.last_output: dict[Key, bytes] = {}
        self.kill_at = self.deadline = float("inf")
        self.finish: Finish | None = None

    def run(self) -> None:
        """Runs the app until its verdict is written down."""
        self.selector.register(self.stop_pipe, selectors.EVENT_READ, self.cancel)
        if self.head["max_runtime"]:
            self.deadline = time.monotonic() + self.head["max_runtime"]
        self.note(state="RUNNING")
        self.do(self.life.start())
        while self.finish is None:
            if self.unstarted:
                self.ended(*self.unstarted.pop(0))
            else:
                self.step()
        self.note(state=self.finish.state.name, reason=self.finish.reason, failed=self.finish.failed)

    def step(self) -> None:
        """Sleeps until something happens, and reacts."""
        until = min(self.kill_at, self.deadline)
        timeout = None if until == float("inf") else max(0.0, until - time.monotonic())
        for ready, _ in self.selector.select(timeout):
            if self.selector.get_map().get(ready.fd) is ready:
                ready.data()
        if time.monotonic() >= self.deadline:
            self.deadline = float("inf")
            self.do(self.life.stop(AppState.FAILED, "stopped after max_runtime"))
        if time.monotonic() >= self.kill_at:
            self.kill_at = float("inf")
            self.signal(self.children, signal.SIGKILL)

    def cancel(self) -> None:
        """Somebody wrote into the pipe."""
        os.read(self.stop_pipe, 100)
        self.do(self.life.stop(AppState.CANCELLED, "cancelled"))

    def do(self, actions: Sequence[Action]) -> None:
        """Carries out what the rules say."""
        stops = [action.key for action in actions if isinstance(action, Stop)]
        if stops:
            self.signal(stops, signal.SIGTERM)
            self.kill_at = time.monotonic() + self.head["grace_period"]
        for action in actions:
            if isinstance(action, Start):
                self.start(action.key)
            elif isinstance(action, Finish):
                self.finish = action

    def start(self, key: Key) -> None:
        """Starts a replica; one that can't be started ends in the next round."""
        values = replica.replica_values(self.head["app_id"], self.role, self.head["cwd"], key[1])
        words = replica.encode(macros.substitute(w, values) for w in (self.role.entrypoint, *self.role.args))
        try:
            child = subprocess.Popen(
                words,
                env=self.env(key, values),
                cwd=self.head["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            code = 127 if isinstance(error, FileNotFoundError) else 126
            self.unstarted.append((key, code, f"can't start {words[0].decode()}: {error.strerror}"))
            return
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        self.children[key] = child
        self.selector.register(child.stdout, selectors.EVENT_READ, partial(self.read, key))
        pidfd = os.pidfd_open(child.pid)
        self.selector.register(pidfd, selectors.EVENT_READ, partial(self.exited, key, pidfd))
        self.note(k=key[1], start=child.pid)

    def env(self, key: Key, values: dict[str, str]) -> dict[bytes, bytes]:
        """A replica's whole environment."""
        env = replica.inherited_env(os.environb, os.path.dirname(sys.executable)) if self.head["inherit_env"] else {}
        own = {name: macros.substitute(text, values) for name, text in self.role.env.items()}
        own |= replica.contract_env(
            app_id=self.head["app_id"],
            handle=self.head["handle"],
            role=self.role,
            replica_id=key[1],
            attempt=0,
            rank0={self.role.name: "localhost"},
            error_file=self.error_file(key),
        )
        return {
            b"PYTHONUNBUFFERED": b"1",
            **env,
            **dict(zip(replica.encode(own), replica.encode(own.values()), strict=True)),
        }

    def read(self, key: Key) -> bool:
        """Notes what a replica wrote; False if there is nothing (yet)."""
        pipe = self.children[key].stdout
        assert pipe is not None
        try:
            data = os.read(pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if data:
            self.last_output[key] = (self.last_output.get(key, b"") + data)[-4096:]
            self.note(k=key[1], role=self.role.name, out=base64.b64encode(data).decode())
        elif pipe in self.selector.get_map():
            self.selector.unregister(pipe)
        return bool(data)

    def exited(self, key: Key, pidfd: int) -> None:
        """A replica's first process has ended."""
        self.signal([key], signal.SIGKILL)  # what it leaves behind; before the wait, which frees the group's number
        code = self.children[key].wait()
        while self.read(key):
            pass
        child = self.children.pop(key)
        assert child.stdout is not None
        for file in (child.stdout, pidfd):
            with suppress(KeyError):
                self.selector.unregister(file)
        child.stdout.close()
        os.close(pidfd)
        self.ended(key, code, *(self.last_error(key) if code else ("", "")))

    def ended(self, key: Key, code: int, error: str, detail: str = "") -> None:
        """Notes an end and does what follows from it."""
        outcome = signal.Signals(-code).name if code < 0 else f"exit {code}"
        actions = self.life.exited(key, code == 0, f"{outcome}: {error}" if error else outcome)
        self.note(k=key[1], code=code, error=error, detail=detail, state=_ENDS[self.life.phase(key)])
        self.do(actions)

    def last_error(self, key: Key) -> tuple[str, str]:
        """One line, and all of the error file."""
        with suppress(OSError, ValueError), open(self.error_file(key), encoding="utf-8") as file:
            detail = file.read()
            message = json.loads(detail)
            while isinstance(message, dict):
                message = message.get("message")
            return str(message), detail
        lines = self.last_output.get(key, b"").decode("utf-8", "replace").splitlines()
        return lines[-1] if lines else "", ""

    def error_file(self, key: Key) -> str:
        """Where a replica may leave its last error."""
        return os.path.join(self.folder, f"error.{key[1]}")

    def signal(self, keys: Iterable[Key], number: int) -> None:
        """Sends a signal to all processes of some replicas."""
        for key in keys:
            if key in self.children:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.children[key].pid, number)

    def note(self, **event: Any) -> None:
        """Appends an event to the journal."""
        with open(os.path.join(self.folder, "journal"), "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": time.time(), **event}) + "\n")


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    os.setsid()
    Supervisor(sys.argv[1], int(sys.argv[2])).run()
