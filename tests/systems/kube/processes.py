"""Processes that outlive the command which started them, and are found again by their pid files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.systems.kube.place import Place


class NotUp(Exception):
    """Something did not start; the message says what, and the end of its log."""


def start(place: Place, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Starts a program in the background, unless it runs."""
    if pid_of(place, name):
        return
    for folder in ("logs", "pids"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    with (place / f"logs/{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=place.folder,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    place.write(f"pids/{name}", f"{process.pid} {_born(process.pid)}")


def stop(place: Place, name: str, signal_: int = signal.SIGTERM, timeout: float = 20) -> None:
    """Ends a program that `start` started; kills it if it takes long."""
    if pid := pid_of(place, name):
        end(pid, signal_, timeout)
    (place / f"pids/{name}").unlink(missing_ok=True)


def end(pid: int, signal_: int = signal.SIGKILL, timeout: float = 20) -> None:
    """Ends a process and waits for that."""
    for each in (signal_, signal.SIGKILL):
        try:
            os.kill(pid, each)
        except ProcessLookupError:
            return
        until = time.monotonic() + timeout
        while _born(pid) and time.monotonic() < until:
            time.sleep(0.02)


def pid_of(place: Place, name: str) -> int | None:
    """The pid of a program that `start` started and that still runs."""
    try:
        pid, born = (place / f"pids/{name}").read_text().split()
    except (OSError, ValueError):
        return None
    # a pid comes back to life as another's
    return int(pid) if _born(int(pid)) == born else None


def wait_for(place: Place, name: str, ready: Callable[[], object], timeout: float = 60) -> None:
    """Waits until something is ready.

    Raises:
        NotUp: its program ended, or it took too long.
    """
    until = time.monotonic() + timeout
    while not ready():
        ended = (place / f"pids/{name}").exists() and not pid_of(place, name)
        if ended or time.monotonic() > until:
            what = "ended" if ended else f"is not up after {timeout:.0f} s"
            raise NotUp(f"{name} {what}; the end of {place / f'logs/{name}.log'}:\n{_tail(place / f'logs/{name}.log')}")
        time.sleep(0.03)


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # one that nobody has asked for its exit code has ended all the same
    return "" if fields[0] in "ZX" else fields[19]


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-1500:] if path.exists() else "(none)"
