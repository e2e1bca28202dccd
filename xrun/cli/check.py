"""``xrun check COMPONENT``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xrun import schedulers
from xrun.cli import output, submission
from xrun.cli.job import own_runner
from xrun.errors import InvalidJob

if TYPE_CHECKING:
    from xrun.cli.answers_here import CheckAnswer
    from xrun.specs.problems import Problem

EXIT_WRONG = InvalidJob.exit_code

_WHERE = click.option(
    "-s",
    "--scheduler",
    multiple=True,
    metavar="NAME",
    help="Where (default: as configured, else local); may be given several times.",
)


@click.command(cls=submission.Command, short_help="Say what is wrong with a job.")
@click.option("--server", is_flag=True, help="Ask the system too; on local: files, programs, secrets, GPUs.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@partial(submission.options, where=_WHERE)
def check(server: bool, json_: bool, scheduler: tuple[str, ...], **given: Any) -> int:
    """Say everything that is wrong with the job of COMPONENT; nothing is sent.

    A line a problem: error or warning, code, field, what is wrong, what to do. Exits 0 without an error, warnings or
    not, else 3. xrun explain CODE says more.

    \b
    xrun check dist.ddp -j 2x8 --script train.py
    xrun check --server -s local jobs.py:sweep --lr 0.1
    xrun check -s local -s memory utils.echo
    """  # noqa: D301 - click wants the character
    job = submission.asked(scheduler=scheduler[0] if scheduler else None, **given)
    found: dict[str, list[Problem]] = {}
    with own_runner(job.profile) as runner:
        if submission.shows_help(runner, job):
            return 0
        app = submission.app_of(runner, job)
        for given_name in scheduler or [job.scheduler]:
            name = schedulers.own_name(given_name or runner.defaults.scheduler)
            found[name] = runner.check(app, name, job.cfg, job.workspace, job.request_id, server=server)
    if json_:
        output.answer_json(_answer(found, server))
    else:
        _show(found)
        _sum_up(found, server)
    return EXIT_WRONG if any(_errors(problems) for problems in found.values()) else 0


def _errors(problems: list[Problem]) -> int:
    return sum(p.severity.value == "error" for p in problems)


def _show(found: dict[str, list[Problem]]) -> None:
    """A row a problem; one that several schedulers have is shown once."""
    whose: dict[Problem, list[str]] = {}
    for name, problems in found.items():
        for problem in dict.fromkeys(problems):
            whose.setdefault(problem, []).append(name)
    columns, rows = ["", "CODE", "FIELD", "PROBLEM", "FIX"], []
    for p, names in whose.items():
        row = [p.severity.value, p.code, p.path, p.message, p.fix]
        rows.append([",".join(names), *row] if len(found) > 1 else row)
    output.table(["SCHEDULER", *columns] if len(found) > 1 else columns, rows, prose=["PROBLEM", "FIX"])


def _sum_up(found: dict[str, list[Problem]], server: bool) -> None:
    for name, problems in found.items():
        errors = _errors(problems)
        said = (
            f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}" if problems else "nothing wrong"
        )
        more = "" if errors or server else "; the system was not asked, --server does"
        output.notice(f"on {name}: {said}{more}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _answer(found: dict[str, list[Problem]], server: bool) -> CheckAnswer:
    return {
        "version": 1,
        "ok": not any(_errors(problems) for problems in found.values()),
        "checks": [
            {
                "scheduler": name,
                "ok": not _errors(problems),
                "asked_system": server,
                "problems": [
                    {"severity": p.severity.value, "code": p.code, "path": p.path, "message": p.message, "fix": p.fix}
                    for p in problems
                ],
            }
            for name, problems in found.items()
        ],
    }
