"""``xrun list``."""

from __future__ import annotations

import time

import click

from xrun import schedulers
from xrun.cli import output
from xrun.cli.job import own_runner
from xrun.schedulers.api import ListFilter
from xrun.schedulers.user import user_name
from xrun.specs.states import AppState


@click.command("list", short_help="List jobs.")
@click.option("-s", "--scheduler", default=schedulers.DEFAULT_SCHEDULER, show_default=True, help="Whose jobs.")
@click.option("--all", "all_", is_flag=True, help="Everybody's, not only mine.")
@click.option("--name", help="Only jobs of this app name.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([s.name for s in AppState], case_sensitive=False),
    help="Only these.",
)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def list_jobs(scheduler: str, all_: bool, name: str | None, states: tuple[str, ...], json_: bool) -> int:
    """List jobs that xrun submitted, the newest first.

    On a terminal a table; elsewhere tab-separated: handle, state, age, name, user.

    \b
    xrun list
    xrun list --state RUNNING --state PENDING
    """  # noqa: D301 - click wants the character
    wanted = ListFilter(
        user=None if all_ else user_name(), name=name, states=frozenset(AppState[s.upper()] for s in states)
    )
    with own_runner() as runner:
        found = runner.list(scheduler, wanted)
    name_of = schedulers.ALIASES.get(scheduler, scheduler)
    if json_:
        apps = [
            {
                "handle": r.handle,
                "name": r.name,
                "state": r.state.name,
                "user": r.user,
                "submitted": r.submitted,
                "ended": r.ended,
            }
            for r in found
        ]
        output.answer_json({"version": 1, "apps": apps})
        return 0
    now = time.time()
    rows = [[r.handle, r.state.name, output.ago(r.submitted, now), r.name, r.user] for r in found]
    output.table(["HANDLE", "STATE", "AGE", "NAME", "USER"], rows)
    if not rows:
        output.notice(f"no jobs on {name_of}")
    return 0
