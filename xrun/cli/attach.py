"""Staying with a job: its output on ours, its end our exit code, Ctrl-C a cancel."""

from __future__ import annotations

import os
import signal
from types import FrameType

from xrun.cli import output
from xrun.errors import JobNotFound, XrunError
from xrun.runner.runner import Runner
from xrun.schedulers.logs import LogQuery
from xrun.specs.status import AppStatus

interrupted = 0
"""128 + the signal that ended the command, once one has come."""


def follow(runner: Runner, handle: str, *, show: bool, prefix: bool, cancels: bool) -> AppStatus:
    """Stays until a job has ended.

    Args:
        runner: whose job it is.
        handle: the job.
        show: write the job's output to ours.
        prefix: begin each line with ``role/replica ``.
        cancels: whether Ctrl-C or SIGTERM cancels the job; else they leave it.

    Raises:
        JobNotFound: it was deleted meanwhile.
    """

    def on_signal(number: int, _: FrameType | None) -> None:
        global interrupted
        again, interrupted = bool(interrupted), 128 + number
        if not cancels:
            output.notice(f"leaving {handle}: it goes on; xrun cancel {handle} stops it")
            os._exit(interrupted)
        try:
            runner.cancel(handle, wait=False)
        except XrunError as error:
            output.notice(str(error))
        if again:
            output.notice(f"leaving {handle}: it is being stopped")
            os._exit(interrupted)
        output.notice("stopping the job; once more leaves it to stop by itself")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    if show:
        chunks = runner.logs(handle, LogQuery(follow=True))
        output.log_bytes(chunks, prefix=prefix, split=True, timestamps=False, regex=None)
    end = runner.wait(handle)
    if end is None:
        raise JobNotFound(handle, "it was deleted meanwhile")
    return end
