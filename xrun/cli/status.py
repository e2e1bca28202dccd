"""``xrun status HANDLE``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from xrun.cli import output
from xrun.cli.job import existing, own_runner, status_json
from xrun.cli.status_text import View, drawn, plain
from xrun.errors import UnknownName

if TYPE_CHECKING:
    from xrun.schedulers.descriptions import AppDescription


@click.command(short_help="Show where a job is.")
@click.option("--watch", "-w", "watch_", is_flag=True, help="Show every change until the job has ended.")
@click.option("--role", "roles", multiple=True, metavar="NAME", help="Only replicas of this role; may be repeated.")
@click.option("--all", "all_", is_flag=True, help="Every replica, also when there are many.")
@click.option("--json", "json_", is_flag=True, help="As JSON; with --watch an answer for each change.")
@click.argument("handle")
def status(watch_: bool, roles: tuple[str, ...], all_: bool, json_: bool, handle: str) -> int:
    """Show where the job of HANDLE is: its state, why, and each replica.

    On a terminal, of a job with many replicas only those are shown that matter, the failed ones first. Elsewhere lines
    "key: value" are followed by a tab-separated row for each replica: role/replica, state, attempt, exit code or
    signal, host, native id, duration, last error.

    Exits 0 whatever the state, 5 if there is no such job. --watch redraws in place on a terminal and prints a line for
    each change elsewhere; it ends with the job, or with Ctrl-C (130).

    \b
    xrun status local://default/train-x7f2q
    xrun status --watch local://default/train-x7f2q
    xrun status --json --role train local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    from xrun.cli import terminal

    view = View(handle, roles, all_)
    with own_runner() as runner:
        there = existing(runner, handle)
        _check_roles(there, roles)
        if watch_:
            from xrun.cli.watching import watch

            watch(runner, view, json_=json_)
        elif json_:
            output.answer_json(status_json(handle, there.status, roles))
        else:
            now = time.time()
            _print((drawn if terminal.is_terminal(1) else plain)(there, view, now))
    return 0


def _print(lines: Iterable[str]) -> None:
    output.answer("\n".join(lines))


def _check_roles(there: AppDescription, roles: Iterable[str]) -> None:
    known = [r.role for r in there.status.roles]
    for role in roles:
        if role not in known:
            raise UnknownName("role", role, known, code="XR079")
