"""``xrun [run] COMPONENT`` and ``xrun render COMPONENT``."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from xrun import schedulers
from xrun.cli import attach, output
from xrun.cli.job import exit_code, own_runner, status_json
from xrun.errors import InvalidComponent, UnknownName, UsageError
from xrun.runner.runner import Runner

_SETTINGS = {"allow_interspersed_args": False}


class _Asked(NamedTuple):
    """What every submission says."""

    component: str
    args: tuple[str, ...]
    scheduler: str
    cfg: dict[str, str]
    workspace: str | None
    request_id: str | None


def _submission(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every verb that takes a component."""
    for decorate in reversed(
        (
            click.option("-s", "--scheduler", default=schedulers.DEFAULT_SCHEDULER, show_default=True, help="Where."),
            click.option("-cfg", "--scheduler_args", "cfg", multiple=True, metavar="K=V,...", help="Its options."),
            click.option("--workspace", metavar="DIR", help='Local code that travels with the job; "" for none.'),
            click.option("--request-id", metavar="ID", help="Submit once: the same id and job give the same handle."),
            click.option("--bare", is_flag=True, hidden=True),
            click.argument("component", required=False),
            click.argument("args", nargs=-1, type=click.UNPROCESSED),
        )
    ):
        command = decorate(command)
    return command


@click.command(context_settings=_SETTINGS, short_help="Run a component.")
@click.option("--dryrun", is_flag=True, help="Print what would be submitted; nothing is sent.")
@click.option("--wait", "wait_", is_flag=True, help="Wait for the end; exit 0, 1, 6 or 7 by it.")
@click.option("--log", "log_", is_flag=True, help="Print what the job writes, and wait for its end.")
@click.option("--detach", is_flag=True, help="Print the handle and return, also on local.")
@click.option("--json", "json_", is_flag=True, help="The answer as JSON on stdout, and nothing else there.")
@_submission
def run(dryrun: bool, wait_: bool, log_: bool, detach: bool, json_: bool, bare: bool, **given: Any) -> int:
    """Run COMPONENT with its own options and arguments.

    On local the job's output is shown and its end awaited, unless --detach; elsewhere its handle is printed.

    \b
    xrun utils.sh -- 'echo $HOSTNAME'
    xrun dist.ddp -j 1x2 --script train.py -- --epochs 3
    xrun --detach -cfg max_runtime=3600 my/jobs.py:sweep --lr 0.1
    xrun dist.ddp --help
    """  # noqa: D301 - click wants the character
    asked = _read(bare, **given)
    if "--help" in asked.args and _show_help(asked):
        return 0
    if detach and (wait_ or log_):
        raise UsageError("--detach goes with neither --wait nor --log")
    with own_runner() as runner:
        info = _dryrun(runner, asked, reproducible=dryrun)
        for text in info.notices:
            output.notice(text)
        if dryrun and json_:
            output.answer_json({"version": 1, "app_id": info.app_id, "request": str(info)})
            return 0
        if dryrun:
            output.answer(str(info).rstrip("\n"))
            return 0
        stays = not detach and runner.attaches(asked.scheduler)
        started = time.monotonic()
        attach.hold_signals()
        handle = runner.schedule(info)
        if not (stays or wait_ or log_):
            _print_handle(handle, json_)
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


@click.command(context_settings=_SETTINGS, short_help="Print what would be submitted.")
@_submission
def render(bare: bool, **given: Any) -> int:
    """Print what would be submitted for COMPONENT; nothing is sent.

    The same job and options always give the same text, which works by hand.

    \b
    xrun render utils.echo --msg hello | sh
    xrun render dist.ddp -j 1x2 --script train.py
    """  # noqa: D301 - click wants the character
    asked = _read(bare, **given)
    if "--help" in asked.args and _show_help(asked):
        return 0
    with own_runner() as runner:
        info = _dryrun(runner, asked, reproducible=True)
        for text in info.notices:
            output.notice(text)
        output.answer(str(info).rstrip("\n"))
    return 0


def _read(
    bare: bool,
    component: str | None,
    args: tuple[str, ...],
    scheduler: str,
    cfg: tuple[str, ...],
    workspace: str | None,
    request_id: str | None,
) -> _Asked:
    if component is None:
        raise UsageError("no component is named; xrun builtins lists them, xrun --help shows the verbs")
    if bare and "." not in component and ":" not in component:
        from xrun.cli.main import VERBS

        raise UnknownName("verb or component", component, VERBS, "xrun builtins lists the components")
    if request_id == "":
        raise UsageError("--request-id is empty; is the variable that it comes from set?")
    from xrun.specs.values import decode

    values: dict[str, str] = {}
    for text in cfg:
        more = decode(text, dict[str, str])
        if twice := values.keys() & more.keys():
            raise UsageError(f"option {min(twice)} is given twice")
        values |= more
    return _Asked(component, args, scheduler, values, workspace, request_id)


def _show_help(asked: _Asked) -> bool:
    """Shows a component's help if ``--help`` is among its own options."""
    from xrun.components import command_line, finder, signature
    from xrun.components.help import format_help

    component = finder.find(asked.component)
    if problems := signature.check(component.fn):
        raise InvalidComponent(f"{component.name} can't be a component: {'; '.join(problems)}")
    if not command_line.parse(component, asked.args).help:
        return False
    output.answer(format_help(component).rstrip("\n"))
    return True


def _dryrun(runner: Runner, asked: _Asked, *, reproducible: bool) -> Any:
    with contextlib.redirect_stdout(sys.stderr):  # what a component prints is no answer
        return runner.dryrun_component(
            asked.component,
            asked.args,
            asked.scheduler,
            asked.cfg,
            asked.workspace,
            asked.request_id,
            reproducible=reproducible,
        )


def _print_handle(handle: str, json_: bool) -> None:
    if json_:
        output.answer_json({"version": 1, "handle": handle})
    else:
        output.answer(handle)
