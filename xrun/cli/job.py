"""What the verbs on a handle share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xrun.cli import output, progress
from xrun.errors import JobNotFound, WaitTimeout
from xrun.runner.runner import Runner, get_runner
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

if TYPE_CHECKING:
    from xrun.schedulers.api import AppDescription

EXIT_OF_STATE = {AppState.SUCCEEDED: 0, AppState.CANCELLED: 7}
"""What ``wait`` and attached runs exit with; any other end is 1."""


@contextmanager
def own_runner(profile: str | None = None, *, known: bool = True) -> Iterator[Runner]:
    """A Runner for one command: this process is ours and has no threads.

    Args:
        profile: that of new jobs (default: as configured).
        known: whether the configuration must have that profile.

    Raises:
        InvalidConfig: there is no such profile.
    """
    runner = get_runner(profile, own_process=True, progress=output.passing)
    try:
        with runner:
            if profile is not None and known:
                runner.defaults.config.require_profile(profile)
            yield runner
    finally:
        for text in runner.notices:
            output.notice(text)


def existing(runner: Runner, handle: str) -> AppDescription:
    """What is known of a job.

    Raises:
        JobNotFound: there is none of that handle.
    """
    there = runner.description(handle)
    if there is None:
        raise JobNotFound(handle)
    return there


def await_end(runner: Runner, handle: str, timeout: float | None = None) -> AppStatus:
    """How a job ends; a wait of some length says that it waits.

    Raises:
        JobNotFound: there is none of that handle, or it was deleted meanwhile.
        WaitTimeout: the time is up; the job goes on.
    """
    began = time.monotonic()
    with progress.Waiting(f"{handle} to end") as waiting:
        for there in runner.watch(handle, timeout):
            if there is None:
                raise JobNotFound(handle, "it was deleted meanwhile")
            if there.status.is_terminal():
                return there.status
            waiting.note(": ".join(filter(None, (there.status.state.name, there.status.msg))))
    raise WaitTimeout(f"{handle} has not ended after {time.monotonic() - began:.1f} s; it goes on")


def exit_code(status: AppStatus) -> int:
    """The exit code that goes with the end of a job."""
    return EXIT_OF_STATE.get(status.state, 1)


def status_json(handle: str, status: AppStatus, roles: Sequence[str] = ()) -> dict[str, object]:
    """The answer of ``--json`` about one job, or some roles of it."""
    return {"version": 1, "handle": handle, **status.to_json(list(roles) or None)}
