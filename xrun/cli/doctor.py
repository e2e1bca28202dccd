"""``xrun doctor``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from xrun.cli import output, terminal
from xrun.cli.terminal import clean
from xrun.cli.times import Seconds
from xrun.errors import BackendError, BackendUnavailable

if TYPE_CHECKING:
    from xrun.cli.answers_here import DoctorAnswer
    from xrun.runner.diagnosis import Diagnosis, Finding

_COLOURS = {"ok": terminal.GREEN, "missing": terminal.YELLOW, "broken": terminal.RED}


@click.command(short_help="Say what works here and what is missing.")
@click.option("-s", "--scheduler", metavar="NAME", help="What is used (default: see above).")
@click.option("--timeout", type=Seconds(), default="10s", show_default=True, help="How long systems may take.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def doctor(scheduler: str | None, timeout: float, json_: bool) -> int:
    """Say what works here, what is missing, and the command that mends it.

    Each thing is ok, missing (not there, and nothing that is used needs it) or broken. What is used: the scheduler of
    -s, else the configured one or local, those that the configuration has tables for, and those of recent jobs.

    Exits 0 if all that is used works; 8 if all that fails is that systems can't be reached; else 4.

    \b
    xrun doctor
    xrun doctor -s local --json
    """  # noqa: D301 - click wants the character
    import contextlib
    import sys

    from xrun.runner.diagnosis import diagnose

    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is no answer
        found = diagnose(scheduler, timeout)
    if json_:
        output.answer_json(_answer(found))
    else:
        _show(found)
    if not found.failures:
        return 0
    return BackendUnavailable.exit_code if all(f.unreachable for f in found.failures) else BackendError.exit_code


def _show(found: Diagnosis) -> None:
    """A heading a section, a line a finding, and below it what mends it."""
    for section, findings in groupby(found.findings, key=lambda f: f.section):
        rows = list(findings)
        used = " (used)" if any(f.used for f in rows) and section.startswith("scheduler") else ""
        output.answer(f"{clean(section)}{used}")
        width = max(len(clean(f.subject)) for f in rows)
        for f in rows:
            output.answer(_line(f, width))
            if f.fix:
                output.answer(f"  {'':8}{'':{width}}  -> {clean(f.fix)}")
    failed = ", ".join(dict.fromkeys(clean(f"{f.section}: {f.subject}") for f in found.failures))
    names = clean(", ".join(found.used))
    output.answer(f"\n{f'broken: {failed}' if failed else f'what is used works: {names}'}")


def _line(f: Finding, width: int) -> str:
    mark = terminal.painted(f"{f.verdict.value:8}", _COLOURS[f.verdict.value])
    return f"  {mark}{clean(f.subject):{width}}  {clean(f.detail)}".rstrip()


def _answer(found: Diagnosis) -> DoctorAnswer:
    return {
        "version": 1,
        "ok": not found.failures,
        "used": found.used,
        "findings": [
            {
                "section": f.section,
                "subject": f.subject,
                "verdict": f.verdict.value,
                "detail": f.detail,
                "fix": f.fix,
                "used": f.used,
                "unreachable": f.unreachable,
            }
            for f in found.findings
        ],
    }
