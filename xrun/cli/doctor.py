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

_TRIAL = 60.0
"""Seconds that a job has at least: a node may have to get its image first."""

_COLOURS = {"ok": terminal.GREEN, "missing": terminal.YELLOW, "broken": terminal.RED}


@click.command(short_help="Say what works here and what is missing.")
@click.option("-s", "--scheduler", metavar="NAME", help="What is used (default: see above).")
@click.option("--timeout", type=Seconds(), default="10s", show_default=True, help="How long systems may take.")
@click.option("--try", "try_", is_flag=True, help="Also run a job that does nothing on what is used.")
@click.option("--image", metavar="IMAGE", default="", help="Its image (default: the configured one); implies --try.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def doctor(scheduler: str | None, timeout: float, try_: bool, image: str, json_: bool) -> int:
    """Say what works here, what is missing, and the command that mends it.

    Each thing is ok, missing (not there, and nothing that is used needs it) or broken. What is used: the scheduler of
    -s, else the configured one or local, those that the configuration has tables for, and those of recent jobs.

    With --try a job of one replica is submitted as any other would be, waited for (a minute, or --timeout if that is
    more) and removed, upon Ctrl-C too. It shows what only a job shows: that nodes have room, and get the image.

    Exits 0 if all that is used works; 8 if all that fails is that systems can't be reached; else 4.

    \b
    xrun doctor
    xrun doctor -s local --json
    xrun doctor -s kubernetes --image busybox
    """  # noqa: D301 - click wants the character
    import contextlib
    import sys

    from xrun.runner.diagnosis import diagnose

    with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is no answer
        found = diagnose(scheduler, timeout)
        if try_ or image:
            found = _with_trials(found, image, max(timeout, _TRIAL))
    if json_:
        output.answer_json(_answer(found))
    else:
        _show(found)
    if not found.failures:
        return 0
    return BackendUnavailable.exit_code if all(f.unreachable for f in found.failures) else BackendError.exit_code


def _with_trials(found: Diagnosis, image: str, patience: float) -> Diagnosis:
    """With a job on each scheduler that is used and has nothing against it."""
    import signal

    from xrun.cli.attach import hold_signals, let_signals
    from xrun.cli.progress import Waiting
    from xrun.runner import get_runner, trial

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it is to remove the job too
    findings = list(found.findings)
    for name in found.used:
        section = f"scheduler {name}"
        if any(f.section == section for f in found.failures):
            continue  # why no job would run there is said
        with get_runner(own_process=True, progress=output.passing) as runner, Waiting(f"a job on {name}") as waiting:
            hold_signals()
            tried = trial.run(runner, name, image, patience, waiting.note, let_signals)
        at = max((i for i, f in enumerate(findings) if f.section == section), default=len(findings) - 1)
        findings.insert(at + 1, tried)
    return found._replace(findings=findings)


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
