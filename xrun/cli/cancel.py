"""``xrun cancel HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output
from xrun.cli.job import existing, own_runner


@click.command(short_help="Stop a job.")
@click.argument("handle")
def cancel(handle: str) -> int:
    """Stop the job of HANDLE: SIGTERM to every process, SIGKILL after its grace period.

    Returns once it has stopped. Does nothing to a job that has ended.

    \b
    xrun cancel local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner:
        there = existing(runner, handle)
        if there.status.is_terminal():
            output.notice(f"{handle} has ended already: {there.status.state.name}")
            return 0
        output.notice(f"stopping {handle}; at most its grace period")
        runner.cancel(handle)
        end = runner.status(handle)
        output.answer(f"{handle}\t{end.state.name if end else 'gone'}")
    return 0
