"""``xrun delete HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output, progress
from xrun.cli.job import own_runner


@click.command(short_help="Remove all that is left of a job.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.argument("handle")
def delete(json_: bool, handle: str) -> int:
    """Stop the job of HANDLE if it runs, and remove all that is left of it: state, logs, objects.

    \b
    xrun delete local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner, progress.Waiting(f"{handle} to stop and be removed"):
        runner.delete(handle)
    if json_:
        output.answer_json({"version": 1, "handle": handle, "deleted": True})
    else:
        output.answer(f"{handle}\tdeleted")
    return 0
