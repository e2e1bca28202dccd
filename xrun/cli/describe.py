"""``xrun describe HANDLE``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xrun.cli import output
from xrun.cli.job import existing, own_runner
from xrun.cli.times import moment

if TYPE_CHECKING:
    from xrun.schedulers.api import AppDescription


@click.command(short_help="Show a job as it was submitted.")
@click.option("--json", "json_", is_flag=True, help="As JSON; the same keys.")
@click.argument("handle")
def describe(json_: bool, handle: str) -> int:
    """Show the job of HANDLE as it was submitted: who, when, with which options, and what.

    What stands under app is the whole job, as the API reads it; of a secret it has the reference, never the value.
    Exits 5 if there is no such job.

    \b
    xrun describe local://default/train-x7f2q
    xrun describe --json local://default/train-x7f2q > job.json
    """  # noqa: D301 - click wants the character
    from xrun.specs.serialize import plain_to_yaml

    with own_runner() as runner:
        there = existing(runner, handle)
    if there.app is None:
        output.notice("the system does not keep the job itself, only that it is there")
    answer = _answer(there, handle)
    if json_:
        output.answer_json(answer)
    else:
        shown = {name: value for name, value in answer.items() if name != "version"}
        shown["submitted"] = moment(there.submitted) if there.submitted else None
        output.answer(plain_to_yaml(shown).rstrip("\n"))
    return 0


def _answer(there: AppDescription, handle: str) -> dict[str, object]:
    from xrun.specs.serialize import to_dict, to_plain

    return {
        "version": 1,
        "handle": there.handle or handle,
        "state": there.status.state.name,
        "user": there.user,
        "submitted": there.submitted,
        "request_id": there.request_id,
        "spec_hash": there.spec_hash,
        "options": to_plain(dict(there.options)),
        "app": to_dict(there.app) if there.app is not None else None,
    }
