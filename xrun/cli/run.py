"""``xrun [run] COMPONENT`` and ``xrun render COMPONENT``."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import click

from xrun.cli import attach, output, submission
from xrun.cli.job import exit_code, own_runner, status_json
from xrun.cli.progress import Waiting
from xrun.runner.runner import Runner
from xrun.specs.dryrun import AppDryRunInfo


@click.command(cls=submission.Command, short_help="Run a component.")
@submission.after_options
@submission.options
def run(after: submission.After, **given: Any) -> int:
    """Run COMPONENT with its own options and arguments.

    On local the job's output is shown and its end awaited, unless --detach; elsewhere its handle is printed.

    \b
    xrun utils.sh -- 'echo $HOSTNAME'
    xrun dist.ddp -j 1x2 --script train.py -- --epochs 3
    xrun --detach -cfg max_runtime=3600 my/jobs.py:sweep --lr 0.1
    xrun dist.ddp --help
    echo '{"component": "utils.echo", "args": {"msg": "hi"}}' | xrun run --stdin
    """  # noqa: D301 - click wants the character
    job = submission.asked(**given)
    with own_runner(job.profile) as runner:
        if submission.shows_help(runner, job):
            return 0
        info = submission.dryrun(runner, job, reproducible=after.dryrun)
        return submit(runner, info, after)


def submit(runner: Runner, info: AppDryRunInfo[Any], after: submission.After) -> int:
    """Sends a request, or prints it, and does what is asked for after that; the exit code."""
    if after.dryrun:
        print_request(info, after.json)
        return 0
    attaches = runner.attaches(info.scheduler)
    stays = not after.detach and attaches
    started = time.monotonic()
    attach.hold_signals()
    hint = "Ctrl-C is heard after that"
    # what runs here is there at once, and is forked off a process that should have no threads
    with nullcontext() if attaches else Waiting(f"{info.scheduler} to take {info.app_id}", hint):
        handle = runner.schedule(info)
    if not (stays or after.wait or after.log):
        output.answer_json({"version": 1, "handle": handle}) if after.json else output.answer(handle)
        attach.let_signals()
        return 0
    show = (after.log or not after.wait) and not after.json
    (output.notice if show or after.json else output.answer)(handle)
    replicas = sum(role.num_replicas for role in info.app.roles)
    end = attach.follow(runner, handle, show=show, prefix=replicas > 1, cancels=stays)
    output.notice(f"{handle} {end.state.name} after {time.monotonic() - started:.1f} s{end.msg and ': ' + end.msg}")
    if after.json:
        output.answer_json(status_json(handle, end))
    return attach.interrupted or exit_code(end)


@click.command(cls=submission.Command, short_help="Print what would be submitted.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@submission.options
def render(json_: bool, **given: Any) -> int:
    """Print what would be submitted for COMPONENT; nothing is sent.

    The same job and options always give the same text, which works by hand.

    \b
    xrun render utils.echo --msg hello | sh
    xrun render dist.ddp -j 1x2 --script train.py
    """  # noqa: D301 - click wants the character
    job = submission.asked(**given)
    with own_runner(job.profile) as runner:
        if not submission.shows_help(runner, job):
            print_request(submission.dryrun(runner, job, reproducible=True), json_)
    return 0


def print_request(info: AppDryRunInfo[Any], json_: bool) -> None:
    """Prints what would be sent."""
    answer = {"version": 1, "app_id": info.app_id, "request": str(info)}
    output.answer_json(answer) if json_ else output.answer(str(info).rstrip("\n"))
