"""``xrun list``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from xrun.cli import output, terminal
from xrun.cli.job import own_runner
from xrun.cli.times import Moment, ago
from xrun.specs.states import AppState

if TYPE_CHECKING:
    from xrun.runner.history import Entry

COLUMNS = ["HANDLE", "STATE", "AGE", "ELAPSED", "NAME", "USER"]
"""In this order, now and later; a new one goes to the end."""

_SCREEN = 50  # rows on a terminal unless asked for more
_OVER = frozenset(("SUCCEEDED", "FAILED", "CANCELLED", "UNKNOWN"))


@click.command("list", short_help="List jobs.")
@click.option("-s", "--scheduler", "schedulers", multiple=True, metavar="NAME", help="Only jobs there; repeatable.")
@click.option("--all", "all_", is_flag=True, help="Everybody's, and all that the system itself still knows.")
@click.option("--name", help="Only jobs of this app name.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([s.name for s in AppState], case_sensitive=False),
    help="Only jobs in this state; repeatable.",
)
@click.option("--since", type=Moment(), help="Only jobs submitted since: 2d, 2026-05-01T12:00, Unix seconds.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Only the newest N, 0 for all (default: {_SCREEN} on a terminal, else all).",
)
@click.option("--profile", metavar="NAME", help="The profile in which systems are asked.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def list_jobs(
    schedulers: tuple[str, ...],
    all_: bool,
    name: str | None,
    states: tuple[str, ...],
    since: float | None,
    limit: int | None,
    profile: str | None,
    json_: bool,
) -> int:
    """List my jobs, the newest first: those submitted from here, and those that run on the configured scheduler.

    On a terminal a table; elsewhere tab-separated: handle, state, time since submission, time from submission to the
    end, app name, user. UNKNOWN: its system has no such job any more and nobody saw its end. RUNNING?: its system can't
    be asked now; this is the last known state.

    \b
    xrun list
    xrun list --state running --state pending
    xrun list --since 2d --name train
    xrun list --all -s local --json
    """  # noqa: D301 - click wants the character
    import gc

    from xrun.runner import listing

    gc.disable()  # thousands of rows and no cycles: looking for some takes as long as all the rest
    wanted = listing.Wanted(all_, name, frozenset(AppState[s.upper()] for s in states), schedulers, since)
    with own_runner(profile) as runner:
        rows, notices = listing.list_jobs(runner, wanted)
    for text in notices:
        output.notice(text)
    if limit is None:
        limit = _SCREEN if terminal.is_terminal(1) and not json_ else 0
    shown = rows[:limit] if limit else rows
    if json_:
        apps = [{**row._asdict(), "current": bool(row.current)} for row in shown]
        output.answer_json({"version": 1, "apps": apps})
    else:
        now = time.time()
        output.table(COLUMNS, [_cells(row, now) for row in shown], spare=["USER", "ELAPSED"])
        if not rows:
            output.notice("no such jobs here; xrun list --all also asks the system for those that ended")
    if len(shown) < len(rows):
        left = rows[len(shown) :]
        live = sum(row.state not in _OVER for row in left)
        output.notice(f"not shown: {len(left)} older, {live} of them not ended; --limit 0 shows all")
    return 0


def _cells(row: Entry, now: float) -> tuple[str, ...]:
    handle, name, state, user, submitted, ended, _, current = row
    elapsed = "-" if not ended and state in _OVER else ago(submitted, ended or now)
    return handle, state if current else f"{state}?", ago(submitted, now), elapsed, name, user
