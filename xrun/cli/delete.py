"""``xrun delete HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output
from xrun.cli.job import own_runner


@click.command(short_help="Remove all that is left of a job.")
@click.argument("handle")
def delete(handle: str) -> int:
    """Stop the job of HANDLE if it runs, and remove all that is left of it: state, logs, objects.

    \b
    xrun delete local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner:
        runner.delete(handle)
        output.notice(f"{handle} deleted")
    return 0
