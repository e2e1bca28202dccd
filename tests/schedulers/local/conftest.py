"""Jobs on the local scheduler, and commands of ours in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.specs import AppDef, AppState, Role, is_terminal
from xrun.specs.status import AppStatus


@pytest.fixture
def local(xrun_home: Path) -> Iterator[LocalScheduler]:
    """A local scheduler in a fresh home."""
    scheduler = LocalScheduler()
    try:
        yield scheduler
        for row in scheduler.list():
            if not is_terminal(row.state):
                scheduler.cancel(row.app_id)
    finally:
        scheduler.close()


def sh(text: str, *args: str, **role: Any) -> AppDef:
    """A job of one role that runs a shell text."""
    return AppDef("job", [Role("main", entrypoint="sh", args=["-c", text, "sh", *args], **role)])


def end_of(scheduler: LocalScheduler, app_id: str, timeout: float = 60) -> AppStatus:
    """How an app ends."""
    for found in scheduler.watch([app_id], timeout):
        status = found[app_id].status
    assert status.is_terminal(), f"{app_id} is {status.state.name} after {timeout} s"
    return status


def until(condition: Callable[[], Any], timeout: float = 20) -> Any:
    """Waits for what no event tells."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)
    return found


def cli(*words: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Runs ``xrun`` as a command."""
    return subprocess.run([sys.executable, "-m", "xrun", *words], capture_output=True, text=True, timeout=60, **kwargs)


def supervisor_pid(scheduler: LocalScheduler, app_id: str) -> int:
    """The supervisor of an app: the parent of its first replica."""
    status = until(lambda: _started(scheduler, app_id))
    pid = int(status.roles[0].replicas[0].native_id)
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def processes_of(app_id: str) -> list[int]:
    """Every process that runs for an app."""
    mark = f"XRUN_APP_ID={app_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                continue
    return found


def _started(scheduler: LocalScheduler, app_id: str) -> AppStatus | None:
    there = scheduler.describe(app_id)
    if there is None or there.status.state is not AppState.RUNNING or not there.status.roles:
        return None
    return there.status if there.status.roles[0].replicas[0].native_id else None
