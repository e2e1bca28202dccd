"""A job that does nothing, on request of ``xrun doctor``: what no question to a system tells, only a job shows."""

from __future__ import annotations

import time
from collections.abc import Callable

from xrun.errors import BackendUnavailable, JobNotFound, XrunError
from xrun.runner.diagnosis import Finding, Verdict
from xrun.runner.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import AppStatus

_NAME = "xrun-doctor"


def run(
    runner: Runner, scheduler: str, image: str, patience: float, note: Callable[[str], None], begun: Callable[[], None]
) -> Finding:
    """Submits a job of one replica that runs ``true``, as any other, waits for its end, and removes it.

    Args:
        runner: who submits.
        scheduler: where.
        image: the image; empty for the configured one.
        patience: seconds that it may take.
        note: takes what is known meanwhile.
        begun: called once it is submitted; from then on an interruption removes it.
    """
    section, began = f"scheduler {scheduler}", time.monotonic()
    handle = ""
    try:
        app = AppDef(_NAME, [Role("main", image, "true")])
        info = runner.dryrun(app, scheduler, {"grace_period": 1}, workspace="")
        handle = runner.schedule(info)
        begun()
        last = None
        for there in runner.watch(handle, patience):
            if there is None:
                break
            last = there.status
            if is_terminal(last.state):
                break
            note(last.msg or last.state.name)
        verdict, detail = _judged(last, time.monotonic() - began, patience)
        unreachable = False
    except XrunError as error:
        verdict, detail = Verdict.BROKEN, " ".join(str(error).split())
        unreachable = isinstance(error, BackendUnavailable)
    finally:
        begun()
        left = _removed(runner, handle)
    return Finding(section, "job", verdict, detail, left, used=True, unreachable=unreachable)


def _judged(last: AppStatus | None, seconds: float, patience: float) -> tuple[Verdict, str]:
    if last is None:
        return Verdict.BROKEN, "it was removed by somebody else"
    if last.state is AppState.SUCCEEDED:
        return Verdict.OK, f"one that does nothing ended after {seconds:.1f} s"
    if is_terminal(last.state):
        return Verdict.BROKEN, last.msg or last.state.name
    return Verdict.BROKEN, f"it has not ended after {patience:g} s: {last.msg or last.state.name}"


def _removed(runner: Runner, handle: str) -> str:
    """Removes the job; what to do if that fails."""
    if handle:
        try:
            runner.delete(handle)
        except JobNotFound:
            return ""
        except XrunError:
            return f"xrun delete {handle} removes the job"
    return ""
