"""What tests of real systems wait for: an end, a line, any condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from xrun.runner import Runner
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus


def status(runner: Runner, handle: str) -> AppStatus:
    """Of a job that is there."""
    found = runner.status(handle)
    assert found is not None
    return found


def ends(runner: Runner, handle: str, state: AppState, timeout: float = 60) -> AppStatus:
    """Its status at the end, which must be this one."""
    found = runner.wait(handle, timeout=timeout)
    assert found is not None
    assert found.state == state, found.msg
    return found


def until(condition: Callable[[], Any], timeout: float = 30) -> Any:
    """What a condition gives once it holds."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)
    return found


def reaches(runner: Runner, handle: str, line: str, role: str = "main", k: int = 0) -> None:
    """Waits for a line of a replica."""
    until(lambda: any(text == f"{line}\n" for text in runner.log_lines(handle, role, k)))
