"""``xrun log HANDLE``."""

from __future__ import annotations

import re

import click

from xrun.cli import output
from xrun.cli.job import existing, own_runner
from xrun.cli.times import Moment
from xrun.schedulers.logs import LogQuery, Stream
from xrun.specs.handle import parse_log_target


@click.command(short_help="Print what a job wrote.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("-t", "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each replica.")
@click.option("--since", type=Moment(), help="Only what came since: 10m, 2026-05-01T12:00, Unix seconds.")
@click.option("--until", type=Moment(), help="Only what came until.")
@click.option("--regex", metavar="R", help="Only lines in which this is found.")
@click.option(
    "--streams",
    type=click.Choice([s.value for s in Stream]),
    default="combined",
    show_default=True,
    help="Which output.",
)
@click.option("--timestamps", is_flag=True, help="Begin each line with the time at which it arrived.")
@click.argument("handle", metavar="HANDLE[/ROLE[/REPLICA,...]]")
def log(
    follow: bool,
    tail: int | None,
    since: float | None,
    until: float | None,
    regex: str | None,
    streams: str,
    timestamps: bool,
    handle: str,
) -> int:
    """Print what the job of HANDLE wrote, or one role of it, or some replicas.

    Lines begin with role/replica when there is more than one replica.

    \b
    xrun log local://default/train-x7f2q --tail 20
    xrun log local://default/train-x7f2q/train/0,3 --follow --streams stderr
    """  # noqa: D301 - click wants the character
    target = parse_log_target(handle)
    if regex is not None:
        try:
            re.compile(regex)
        except re.error as error:
            raise click.BadParameter(f"{regex!r} is no regular expression: {error}", param_hint="--regex") from error
    with own_runner() as runner:
        there = existing(runner, target.handle)
        counts = [len(r.replicas) for r in there.status.roles if target.role in (None, r.role)]
        shown = len(target.replicas) if target.replicas else sum(counts)
        query = LogQuery(
            role=target.role,
            replicas=tuple(target.replicas) if target.replicas else None,
            stream=Stream(streams),
            since=since,
            until=until,
            tail=tail,
            follow=follow,
        )
        chunks = runner.logs(target.handle, query)
        output.log_bytes(chunks, prefix=shown > 1, split=False, timestamps=timestamps, regex=regex)
    return 0
