"""``xrun cancel HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output, progress
from xrun.cli.job import existing, own_runner


@click.command(short_help="Stop a job.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("handle")
def cancel(json_: bool, handle: str) -> int:
    """Stop the job of HANDLE: SIGTERM to every process, SIGKILL after its grace period.

    Returns once it has stopped. Does nothing to a job that has ended.

    \b
    xrun cancel local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner:
        there = existing(runner, handle)
        had_ended = there.status.is_terminal()
        end = there.status if had_ended else None
        if had_ended:
            output.notice(f"{handle} has ended already")
        else:
            grace = there.options.get("grace_period")
            hint = f"at most its grace period of {grace:g} s" if isinstance(grace, (int, float)) else ""
            try:
                with progress.Waiting(f"{handle} to stop", hint):
                    runner.cancel(handle)
            except KeyboardInterrupt:
                output.notice(f"leaving {handle}, which is being stopped; xrun status tells when it has")
                raise
            end = runner.status(handle)
    state = end.state.name if end else None
    if json_:
        output.answer_json({"version": 1, "handle": handle, "state": state, "had_ended": had_ended})
    else:
        output.answer(f"{handle}\t{state or 'gone'}")
    return 0
