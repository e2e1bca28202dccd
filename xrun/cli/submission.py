"""What the verbs that take a component share: their options, and the job that these ask for."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from xrun.cli import output
from xrun.errors import InvalidComponent, UnknownName, UsageError
from xrun.runner.job import Job, read_job
from xrun.runner.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo

_WORKSPACE = 'Local code that travels: a folder, git://, a URL, or dst=DIR,...; "" for none.'
_CONFIGURED = ""
"""Stands for the component of the configuration."""


class Command(click.Command):
    """A command that takes a component: what follows that is the component's own.

    Words behind a leading ``--`` are arguments of the configured component.
    """

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Marks a component that is left out."""
        if "--" in args:
            found, _, _ = self.make_parser(ctx).parse_args(list(args))
            words = found.get("args")  # click has another word for nothing in each version
            count = isinstance(found.get("component"), str) + (len(words) if isinstance(words, (list, tuple)) else 0)
            if args[len(args) - count - 1] == "--":
                args = [*args[: len(args) - count], _CONFIGURED, *args[len(args) - count :]]
        return super().parse_args(ctx, args)


class After(NamedTuple):
    """What is done with a request, beside or after sending it.

    Attributes:
        dryrun: it is only printed.
        wait: stay until the job has ended.
        log: print what it writes meanwhile.
        detach: don't stay, also on a scheduler that usually does.
        json: answer in JSON.
    """

    dryrun: bool
    wait: bool
    log: bool
    detach: bool
    json: bool


def after_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a command that submits with the options of `After`; it gets one as ``after``."""

    @click.option("--dryrun", is_flag=True, help="Print what would be submitted; nothing is sent.")
    @click.option("--wait", "wait_", is_flag=True, help="Wait for the end; exit 0, 1 or 7 by it.")
    @click.option("--log", "log_", is_flag=True, help="Print what the job writes, and wait for its end.")
    @click.option("--detach", is_flag=True, help="Print the handle and return, also on local.")
    @click.option("--json", "json_", is_flag=True, help="The answer as JSON on stdout, and nothing else there.")
    @functools.wraps(command)
    def decorated(dryrun: bool, wait_: bool, log_: bool, detach: bool, json_: bool, **given: Any) -> Any:
        if detach and (wait_ or log_):
            raise UsageError("--detach goes with neither --wait nor --log")
        return command(after=After(dryrun, wait_, log_, detach, json_), **given)

    return decorated


def _given(_: click.Context, __: click.Parameter, request_id: str | None) -> str | None:
    if request_id == "":
        raise UsageError("--request-id is empty; is the variable that it comes from set?")
    return request_id


request_id_option = click.option(
    "--request-id", metavar="ID", callback=_given, help="Submit once: the same id and job give the same handle."
)

_WHERE = click.option("-s", "--scheduler", metavar="NAME", help="Where (default: as configured, else local).")


def options(command: Callable[..., Any], where: Callable[..., Any] = _WHERE) -> Callable[..., Any]:
    """Decorates a command with the options that `asked` reads; they come as keyword arguments.

    Args:
        command: the command.
        where: the option that names the scheduler.
    """
    for decorate in reversed(
        (
            where,
            click.option("-cfg", "--scheduler_args", "cfg", multiple=True, metavar="K=V,...", help="Its options."),
            click.option("--profile", metavar="NAME", help="A profile of xrun.toml; part of the handle."),
            click.option("--workspace", metavar="DIR", help=_WORKSPACE),
            request_id_option,
            click.option("--stdin", is_flag=True, help="Read the job as JSON from stdin, instead of all the above."),
            click.option("--bare", is_flag=True, hidden=True),
            click.argument("component", required=False),
            click.argument("args", nargs=-1, type=click.UNPROCESSED),
        )
    ):
        command = decorate(command)
    return command


def asked(
    *,
    bare: bool,
    component: str | None,
    args: tuple[str, ...],
    scheduler: str | None,
    cfg: tuple[str, ...],
    profile: str | None,
    workspace: str | None,
    request_id: str | None,
    stdin: bool,
) -> Job:
    """The job that a command line asks for; its component may be left to the configuration.

    Raises:
        UsageError: it asks for none, or for two.
    """
    from xrun.cli.main import VERBS

    if stdin:
        if component or scheduler or cfg or profile or workspace is not None or request_id is not None:
            raise UsageError("--stdin takes the component, its arguments and where it runs from the JSON alone")
        return read_job(_stdin())
    if bare and component in VERBS:
        raise UsageError(f"the options of {component} stand behind it: xrun {component} ...")
    if bare and component and "." not in component and ":" not in component:
        raise UnknownName("verb or component", component, VERBS, "xrun builtins lists the components")
    return Job(
        component=component or None,
        words=list(args),
        scheduler=scheduler,
        profile=profile,
        cfg=_options(cfg),
        workspace=workspace,
        request_id=request_id,
    )


def component_of(runner: Runner, job: Job) -> str:
    """The name of the job's component.

    Raises:
        UsageError: neither the job nor the configuration names one.
    """
    name = job.component or runner.defaults.component
    if name is None:
        raise UsageError(
            "no component is named, here or by [run] component in xrun.toml; xrun builtins lists them, "
            "xrun --help shows the verbs"
        )
    return name


def app_of(runner: Runner, job: Job) -> AppDef:
    """The whole job, built by its component unless it was given."""
    if job.app is not None:
        return job.app
    with contextlib.redirect_stdout(sys.stderr):  # what a component prints is no answer
        return runner.build_component(component_of(runner, job), job.words or job.args)


def dryrun(runner: Runner, job: Job, *, reproducible: bool) -> AppDryRunInfo[Any]:
    """What would be submitted; notices are said."""
    where = job.scheduler, job.cfg, job.workspace, job.request_id
    with contextlib.redirect_stdout(sys.stderr):  # what a component or a plugin prints is no answer
        if job.app is not None:
            info = runner.dryrun(job.app, *where, reproducible=reproducible)
        else:  # by its component, whose name and arguments the history keeps
            name = component_of(runner, job)
            info = runner.dryrun_component(name, job.words or job.args, *where, reproducible=reproducible)
    for text in info.notices:
        output.notice(text)
    return info


def shows_help(runner: Runner, job: Job) -> bool:
    """Shows a component's help if ``--help`` is among its own options."""
    if "--help" not in job.words:
        return False
    from xrun.components import command_line, finder, signature
    from xrun.components.help import format_help

    component = finder.find(component_of(runner, job))
    if problems := signature.check(component.fn):
        raise InvalidComponent(f"{component.name} can't be a component: {'; '.join(problems)}")
    if not command_line.parse(component, job.words).help:
        return False
    output.answer(format_help(component).rstrip("\n"))
    return True


def _options(given: tuple[str, ...]) -> dict[str, str]:
    from xrun.specs.values import decode

    values: dict[str, str] = {}
    for text in given:
        more = decode(text, dict[str, str])
        if twice := values.keys() & more.keys():
            raise UsageError(f"option {min(twice)} is given twice")
        values |= more
    return values


def _stdin() -> str:
    if sys.stdin is None:
        raise UsageError("--stdin: stdin is closed")
    if sys.stdin.isatty():
        output.notice("reading a job as JSON from the terminal; Ctrl-D ends it")
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"--stdin: not UTF-8 at byte {error.start}") from error
