"""What the verbs on a handle share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from xrun.errors import JobNotFound
from xrun.runner.runner import Runner, get_runner
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

if TYPE_CHECKING:
    from xrun.schedulers.api import AppDescription

EXIT_OF_STATE = {AppState.SUCCEEDED: 0, AppState.CANCELLED: 7}
"""What ``wait`` and attached runs exit with; any other end is 1."""


@contextmanager
def own_runner(profile: str | None = None) -> Iterator[Runner]:
    """A Runner for one command: this process is ours and has no threads.

    Args:
        profile: that of new jobs (default: as configured).

    Raises:
        InvalidConfig: there is no such profile.
    """
    with get_runner(profile, own_process=True) as runner:
        if profile is not None:
            runner.defaults.config.require_profile(profile)
        yield runner


def existing(runner: Runner, handle: str) -> AppDescription:
    """What is known of a job.

    Raises:
        JobNotFound: there is none of that handle.
    """
    there = runner.description(handle)
    if there is None:
        raise JobNotFound(handle, f"see xrun list -s {handle.partition(':')[0]}")
    return there


def exit_code(status: AppStatus) -> int:
    """The exit code that goes with the end of a job."""
    return EXIT_OF_STATE.get(status.state, 1)


def status_json(handle: str, status: AppStatus) -> dict[str, object]:
    """The answer of ``--json`` about one job."""
    return {"version": 1, "handle": handle, **status.to_json()}
