"""``xrun wait HANDLE``."""

from __future__ import annotations

import click

from xrun.cli import output, terminal
from xrun.cli.job import await_end, existing, exit_code, own_runner, status_json
from xrun.cli.times import Seconds


@click.command(short_help="Wait for the end of a job.")
@click.option("--timeout", type=Seconds(), help="Give up after this long (90, 10m, 2h); exit 6.")
@click.option("--json", "json_", is_flag=True, help="The end as JSON.")
@click.argument("handle")
def wait(timeout: float | None, json_: bool, handle: str) -> int:
    """Wait for the end of the job of HANDLE, and say now and then on stderr that the wait goes on.

    Exits 0 if it succeeded, 1 if it failed, 7 if it was cancelled, 6 if the time is up, 5 if there is no such job.

    \b
    xrun wait local://default/train-x7f2q
    xrun wait --timeout 2h local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    with own_runner() as runner:
        existing(runner, handle)
        end = await_end(runner, handle, timeout)
        if json_:
            output.answer_json(status_json(handle, end))
        else:
            output.answer("\n".join([handle, *map(terminal.clean, end.format().split("\n"))]))
        return exit_code(end)
