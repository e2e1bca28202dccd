"""``xrun [run] COMPONENT`` and ``xrun render COMPONENT``."""

from __future__ import annotations

import time
from typing import Any

import click

from xrun.cli import attach, output, submission
from xrun.cli.job import exit_code, status_json
from xrun.errors import UsageError
from xrun.runner.runner import Runner
from xrun.specs.dryrun import AppDryRunInfo


@click.command(cls=submission.Command, short_help="Run a component.")
@click.option("--dryrun", is_flag=True, help="Print what would be submitted; nothing is sent.")
@click.option("--wait", "wait_", is_flag=True, help="Wait for the end; exit 0, 1, 6 or 7 by it.")
@click.option("--log", "log_", is_flag=True, help="Print what the job writes, and wait for its end.")
@click.option("--detach", is_flag=True, help="Print the handle and return, also on local.")
@click.option("--json", "json_", is_flag=True, help="The answer as JSON on stdout, and nothing else there.")
@submission.options
def run(dryrun: bool, wait_: bool, log_: bool, detach: bool, json_: bool, **given: Any) -> int:
    """Run COMPONENT with its own options and arguments.

    On local the job's output is shown and its end awaited, unless --detach; elsewhere its handle is printed.

    \b
    xrun utils.sh -- 'echo $HOSTNAME'
    xrun dist.ddp -j 1x2 --script train.py -- --epochs 3
    xrun --detach -cfg max_runtime=3600 my/jobs.py:sweep --lr 0.1
    xrun dist.ddp --help
    echo '{"component": "utils.echo", "args": {"msg": "hi"}}' | xrun run --stdin
    """  # noqa: D301 - click wants the character
    if detach and (wait_ or log_):
        raise UsageError("--detach goes with neither --wait nor --log")
    job = submission.asked(**given)
    with submission.runner_of(job) as runner:
        if submission.shows_help(runner, job):
            return 0
        info = submission.dryrun(runner, job, reproducible=dryrun)
        if dryrun:
            print_request(info, json_)
            return 0
        return submit(runner, info, wait_=wait_, log_=log_, detach=detach, json_=json_)


def submit(runner: Runner, info: AppDryRunInfo[Any], *, wait_: bool, log_: bool, detach: bool, json_: bool) -> int:
    """Sends a request and does what the options of ``run`` say; the exit code."""
    stays = not detach and runner.attaches(info.scheduler)
    started = time.monotonic()
    attach.hold_signals()
    handle = runner.schedule(info)
    if not (stays or wait_ or log_):
        output.answer_json({"version": 1, "handle": handle}) if json_ else output.answer(handle)
        attach.let_signals()
        return 0
    show = (log_ or not wait_) and not json_
    (output.notice if show or json_ else output.answer)(handle)
    replicas = sum(role.num_replicas for role in info.app.roles)
    end = attach.follow(runner, handle, show=show, prefix=replicas > 1, cancels=stays)
    output.notice(f"{handle} {end.state.name} after {time.monotonic() - started:.1f} s{end.msg and ': ' + end.msg}")
    if json_:
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
    with submission.runner_of(job) as runner:
        if not submission.shows_help(runner, job):
            print_request(submission.dryrun(runner, job, reproducible=True), json_)
    return 0


def print_request(info: AppDryRunInfo[Any], json_: bool) -> None:
    """Prints what would be sent."""
    answer = {"version": 1, "app_id": info.app_id, "request": str(info)}
    output.answer_json(answer) if json_ else output.answer(str(info).rstrip("\n"))
