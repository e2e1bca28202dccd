"""``xrun log HANDLE...``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import click

from xrun.cli import output, progress
from xrun.cli.job import own_runner
from xrun.cli.times import Moment
from xrun.runner.runner import Runner
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream
from xrun.specs.handle import LogTarget, parse_app_handle, parse_log_target


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
@click.argument("targets", metavar="HANDLE[/ROLE[/REPLICA,...]]...", nargs=-1, required=True)
def log(
    follow: bool,
    tail: int | None,
    since: float | None,
    until: float | None,
    regex: str | None,
    streams: str,
    timestamps: bool,
    targets: tuple[str, ...],
) -> int:
    """Print what the job of HANDLE wrote, or one role of it, or some replicas; or what several jobs wrote.

    Lines begin with role/replica when there is more than one replica, and with the app id before that when there is
    more than one job. Several jobs come in order of time, and with --follow as they arrive, until all have ended.

    Exits 0 however the jobs end, 5 if one of them doesn't exist (then nothing is printed).

    \b
    xrun log local://default/train-x7f2q --tail 20
    xrun log local://default/train-x7f2q/train/0,3 --follow --streams stderr
    xrun log -f local://default/train-x7f2q local://default/eval-b2k8d
    """  # noqa: D301 - click wants the character
    wanted = [parse_log_target(text) for text in dict.fromkeys(targets)]
    if regex is not None:
        try:
            re.compile(regex)
        except re.error as error:
            raise click.BadParameter(f"{regex!r} is no regular expression: {error}", param_hint="--regex") from error
    query = LogQuery(stream=Stream(streams), since=since, until=until, tail=tail, follow=follow)
    with own_runner() as runner:
        if len(wanted) == 1:
            prefix, chunks = _one(runner, wanted[0], query)
        else:
            prefix, chunks = True, _several(runner, wanted, query)
        if follow:
            chunks = _announced(chunks, ", ".join(target.handle for target in wanted))
        output.log_bytes(chunks, prefix=prefix, split=False, timestamps=timestamps, regex=regex, live=follow)
    return 0


def _one(runner: Runner, target: LogTarget, query: LogQuery) -> tuple[bool, Iterator[LogChunk]]:
    """Whether there is more than one replica, and what was written."""
    there = runner.readable(target.handle)
    counts = [len(r.replicas) for r in there.status.roles if target.role in (None, r.role)]
    shown = len(target.replicas) if target.replicas else sum(counts)
    replicas = tuple(target.replicas) if target.replicas else None
    return shown > 1, runner.logs(target.handle, query._replace(role=target.role, replicas=replicas))


def _several(runner: Runner, targets: Sequence[LogTarget], query: LogQuery) -> Iterator[LogChunk]:
    """What several jobs wrote, their roles named ``app_id/role``."""
    names = _short_names([target.handle for target in targets])
    found = [_one(runner, target, query)[1] for target in targets]  # one that isn't there is said before any line
    sources = [_named(chunks, names[target.handle]) for chunks, target in zip(found, targets, strict=True)]
    return _merged(sources, follow=query.follow, parted=query.follow and query.tail is None)


def _merged(sources: Sequence[Iterator[LogChunk]], *, follow: bool, parted: bool) -> Iterator[LogChunk]:
    """By time what is there already, then as it comes; ``parted`` says that sources tell the one from the other."""
    import heapq

    if parted or not follow:
        yield from heapq.merge(*map(_until_caught_up, sources), key=lambda chunk: chunk.time)
    if follow:
        from xrun.cli.arrivals import arrivals

        for chunk in arrivals(sources):
            if chunk is not None:
                yield chunk


def _named(chunks: Iterable[LogChunk], name: str) -> Iterator[LogChunk]:
    for chunk in chunks:
        yield chunk if chunk is CAUGHT_UP else chunk._replace(role=f"{name}/{chunk.role}")


def _until_caught_up(chunks: Iterator[LogChunk]) -> Iterator[LogChunk]:
    for chunk in chunks:
        if chunk is CAUGHT_UP:
            return
        yield chunk


def _announced(chunks: Iterable[LogChunk], what: str) -> Iterator[LogChunk]:
    """The same; a first line that lets us wait is waited for aloud."""
    incoming = iter(chunks)
    with progress.Waiting(f"the first line of {what}"):
        first = next((chunk for chunk in incoming if chunk is not CAUGHT_UP), None)
    if first is not None:
        yield first
        yield from incoming


def _short_names(handles: Sequence[str]) -> dict[str, str]:
    """Handle -> the shortest end of it that no other one has: its app id, else more."""
    parts = {handle: parse_app_handle(handle) for handle in handles}
    names = {}
    for handle, part in parts.items():
        others = [p for h, p in parts.items() if h != handle]
        if all(p.app_id != part.app_id for p in others):
            names[handle] = part.app_id
        elif all(p[1:] != part[1:] for p in others):
            names[handle] = f"{part.session_name}/{part.app_id}"
        else:
            names[handle] = handle
    return names
