"""Staying with a job: its output on ours, its end our exit code, Ctrl-C a cancel."""

from __future__ import annotations

import os
import signal
from types import FrameType

import click

from xrun.cli import output
from xrun.cli.job import await_end
from xrun.errors import XrunError
from xrun.runner.runner import Runner
from xrun.schedulers.logs import LogQuery
from xrun.specs.status import AppStatus

_ENDING = (signal.SIGINT, signal.SIGTERM)

interrupted = 0
"""128 + the signal that ended the command, once one has come."""


def hold_signals() -> None:
    """Keeps Ctrl-C and SIGTERM waiting until `follow` can answer them: a job half submitted can't be cancelled."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def let_signals() -> None:
    """Takes `hold_signals` back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


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
            output.notice(f"[{error.code}] {error}")
        if again:
            output.notice(f"leaving {handle}: it is being stopped")
            os._exit(interrupted)
        output.notice("stopping the job; once more leaves it to stop by itself")

    for number in _ENDING:
        signal.signal(number, on_signal)
    let_signals()
    if show:
        chunks = runner.logs(handle, LogQuery(follow=True))
        try:
            output.log_bytes(chunks, prefix=prefix, split=True, timestamps=False, regex=None)
        except (click.exceptions.Exit, click.ClickException):
            output.notice(f"nobody reads the output; {handle} goes on")
            raise
    return await_end(runner, handle)
