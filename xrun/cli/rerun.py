"""``xrun rerun HANDLE``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from xrun import schedulers
from xrun.cli import output, run, submission
from xrun.cli.job import own_runner
from xrun.errors import JobNotFound, UsageError, shown

if TYPE_CHECKING:
    from xrun.runner.history import Submission
    from xrun.runner.job import Job
    from xrun.runner.runner import Runner
    from xrun.specs.dryrun import AppDryRunInfo


@click.command(short_help="Submit a job again, and say what differs today.")
@click.option("--with", "changes", multiple=True, metavar="K=V", help="An option of its component; repeatable.")
@submission.request_id_option
@submission.after_options
@click.argument("handle")
def rerun(changes: tuple[str, ...], request_id: str | None, after: submission.After, handle: str) -> int:
    """Submit the job of HANDLE again: the same component and arguments, in the same folder, to the same system.

    What differs from then is said first: the job as the component builds it today, its options, git, the versions. Then
    it goes on as xrun run does. A job that was submitted from Python without a component is submitted as it was.

    \b
    xrun rerun local://default/train-x7f2q
    xrun rerun --with lr=0.1 --with epochs=5 local://default/train-x7f2q
    xrun rerun --dryrun local://default/train-x7f2q
    """  # noqa: D301 - click wants the character
    from xrun.specs.handle import make_app_handle, parse_app_handle

    scheduler, session, app_id = parse_app_handle(handle)
    with own_runner(session, known=False) as runner:
        before = _find(runner, make_app_handle(schedulers.own_name(scheduler), session, app_id))
        _go_to(before.folder)
        job = _job(before, session, changes, request_id)
        info = submission.dryrun(runner, job, reproducible=after.dryrun)
        for text in differences(before, info) or ["nothing"]:
            output.notice(f"differs from {handle}: {text}")
        return run.submit(runner, info, after)


def differences(before: Submission, info: AppDryRunInfo[Any]) -> list[str]:
    """What is not as it was when the job was submitted, a line each."""
    import sys

    from xrun import __version__
    from xrun.runner.gitinfo import GitQuery
    from xrun.specs.serialize import changes, to_dict, to_plain

    git = GitQuery()
    found = changes(before.app, to_dict(info.app)) + changes(before.options, to_plain(vars(info.options)), "options")
    versions = {"xrun": (before.xrun, __version__), "python": (before.python, sys.version.split()[0])}
    found += [(name, old, new) for name, (old, new) in versions.items() if old != new]
    lines = [f"{path} is {shown(new)}, was {shown(old)}" for path, old, new in found]
    now = git.answer()
    old, new = (before.git_commit, before.git_dirty), (now.commit, now.dirty) if now else (None, None)
    if old != new:
        lines.append(f"git is at {_commit(*new)}, was at {_commit(*old)}")
    elif new[1]:
        lines.append("git had changed files then and has now; which, is not kept")
    return lines


def _commit(commit: str | None, dirty: bool | None) -> str:
    if commit is None:
        return "no commit"
    return commit[:12] + {True: " with changed files", False: "", None: " (changed files not known)"}[dirty]


def _find(runner: Runner, handle: str) -> Submission:
    before = runner.history.get(handle)
    if before is None:
        raise JobNotFound(handle, "the history doesn't know how it was submitted; xrun list shows what it knows")
    return before


def _go_to(folder: str) -> None:
    """Goes where the job was submitted; its component and paths may be relative to that."""
    try:
        os.chdir(folder)
    except OSError as error:
        where = folder or "a folder that was gone even then"
        raise UsageError(f"the job was submitted in {where}; it can't be entered: {error.strerror}") from error


def _job(before: Submission, session: str, changes: Sequence[str], request_id: str | None) -> Job:
    from xrun.runner.job import Job
    from xrun.specs.serialize import from_dict

    where: dict[str, Any] = {
        "scheduler": before.scheduler,
        "profile": session,
        "cfg": before.cfg,
        "request_id": request_id,
    }
    if before.component and before.args is not None:
        args = before.args
        if changes:
            args = _changed(before.component, args, changes)
        given = {"args": args} if isinstance(args, dict) else {"words": args}
        return Job(component=before.component, workspace=before.workspace, **given, **where)
    if changes:
        reason = f"the arguments of {before.component} were Python objects" if before.component else "it has none"
        raise UsageError(f"--with changes a component's options; {before.handle} can only be sent as it was: {reason}")
    return Job(app=from_dict(before.app), workspace="", **where)


def _changed(name: str, args: list[str] | dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The component's arguments by name, with some changed or added."""
    import shlex

    from xrun.components import command_line, finder

    component = finder.find(name)
    values = dict(args) if isinstance(args, dict) else command_line.parse(component, args).values
    variadic = {p.name for p in component.parameters if p.variadic}
    for key, text in _pairs(changes):
        try:
            values[key] = shlex.split(text) if key in variadic else text
        except ValueError as error:
            raise UsageError(f"--with {key}: {text!r} is no list of words: {error}") from error
    return values


def _pairs(changes: Sequence[str]) -> Iterator[tuple[str, str]]:
    given = set()
    for text in changes:
        key, equals, value = text.partition("=")
        key = key.lstrip("-").replace("-", "_")
        if not equals or not key:
            raise UsageError(f"--with {text!r}: write NAME=VALUE")
        if key in given:
            raise UsageError(f"--with {key} is given twice")
        given.add(key)
        yield key, value
