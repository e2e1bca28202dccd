"""``xrun status HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output
from xrun.cli.job import existing, own_runner, status_json


@click.command(short_help="Show where a job is.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("handle")
def status(json_: bool, handle: str) -> int:
    """Show where the job of HANDLE is: its state, why, and each replica.

    Exits 0 whatever the state, 5 if there is no such job.

    \b
    xrun status local://default/train-x7f2q
    xrun status --json local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner:
        there = existing(runner, handle)
        if json_:
            output.answer_json(status_json(handle, there.status))
        else:
            output.answer(f"{handle}\n{there.status.format()}")
    return 0
