"""The table of verbs, and the one boundary where an error becomes a line and an exit code."""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

VERBS = {
    "run": ("xrun.cli.run:run", "Run a component; the word may be left out."),
    "render": ("xrun.cli.run:render", "Print what would be submitted; nothing is sent."),
    "check": ("xrun.cli.check:check", "Say what is wrong with a job; nothing is sent."),
    "status": ("xrun.cli.status:status", "Show where a job is."),
    "wait": ("xrun.cli.wait:wait", "Wait for the end of a job."),
    "log": ("xrun.cli.log:log", "Print what a job wrote."),
    "list": ("xrun.cli.list:list_jobs", "List jobs."),
    "describe": ("xrun.cli.describe:describe", "Show a job as it was submitted."),
    "rerun": ("xrun.cli.rerun:rerun", "Submit a job again, and say what differs today."),
    "cancel": ("xrun.cli.cancel:cancel", "Stop a job."),
    "delete": ("xrun.cli.delete:delete", "Remove all that is left of a job."),
    "builtins": ("xrun.cli.builtins:builtins", "List components, or show one."),
    "runopts": ("xrun.cli.runopts:runopts", "List the options of a scheduler."),
    "configure": ("xrun.cli.configure:configure", "Write a configuration file."),
    "doctor": ("xrun.cli.doctor:doctor", "Say what works here and what is missing."),
    "explain": ("xrun.cli.explain:explain", "Explain an error by its code."),
    "completion": ("xrun.cli.completion:completion", "Print what makes a shell complete xrun's words."),
}
"""verb -> (``module:command``, help); showing them imports none of them."""

EXIT_BUG, EXIT_SIGINT = 70, 130
USAGE, UNWRITABLE = "XR070", "XR085"
"""The codes of what click refuses, and of output that can't be written; `xrun explain` knows them."""


class _Verbs(click.Group):
    """Verbs from the table, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return _plugins_verb(cmd_name)
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.command(
    cls=_Verbs,
    name="xrun",
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="",
    subcommand_metavar="VERB [ARGS]... | [RUN OPTIONS] COMPONENT [ARGS]...",
)
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """One job description, any cluster.

    \b
    xrun utils.echo --msg hello
    xrun dist.ddp -j 1x2 --script train.py -- --epochs 3
    xrun --detach jobs.py:sweep --lr 0.1
    xrun log local://default/train-x7f2q --follow
    xrun dist.ddp --help
    """  # noqa: D301 - click wants the character


def main() -> NoReturn:
    """The program ``xrun``."""
    gc.set_threshold(50_000)  # what is imported is no garbage; looking for some takes 4 ms of most verbs
    _open_standard_files()
    code = _run(sys.argv[1:])
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, AttributeError):
            pass  # nobody reads it any more, or it was never open
    os._exit(code)  # taking the interpreter apart takes longer than most verbs


def _open_standard_files() -> None:
    """So that no file of ours gets the number of one that the caller has closed."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _run(words: list[str]) -> int:
    if asking := os.environ.get("_XRUN_COMPLETE"):
        from xrun.cli.completion import answer_shell

        answer_shell(asking)
    try:
        if words == ["--version"]:
            from xrun import __version__

            print(f"xrun {__version__}")
            return 0
        code = cli.main(with_verb(words), prog_name="xrun", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as done:
        return int(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_SIGINT
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code, getattr(error, "code", USAGE))
    except Exception as error:  # noqa: BLE001 - the one boundary; what isn't expected is shown whole
        from xrun.errors import XrunError

        if isinstance(error, XrunError):
            return _say(str(error), error.exit_code, error.code, [p.code for p in getattr(error, "problems", ())])
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO) and not error.filename:
            return _say(f"can't write the output: {error.strerror}", 1, UNWRITABLE)
        import traceback

        traceback.print_exc()
        return EXIT_BUG


def with_verb(words: list[str]) -> list[str]:
    """``xrun -s local utils.echo`` is ``xrun run -s local utils.echo``."""
    if not words:
        return ["--help"]
    first = words[0]
    if first in VERBS or first in ("-h", "--help"):
        return words
    if first and not first.startswith("-") and "." not in first and ":" not in first and _plugins_verb(first):
        return words  # no component has such a name, so that running one never looks for plugins
    return ["run", "--bare", *words]


def _plugins_verb(name: str) -> click.Command | None:
    """A verb that another package registers in the group ``xrun.cli.commands``; None if there is none.

    Raises:
        UsageError: there is one, but it can't be loaded or is no click command.
    """
    from xrun import plugins
    from xrun.errors import UsageError

    if name not in plugins.targets(plugins.CLI_COMMANDS):
        return None
    verb = plugins.load(plugins.CLI_COMMANDS, name)
    if isinstance(verb, click.Command):
        return verb
    reason = plugins.broken_hint(plugins.CLI_COMMANDS, name)
    raise UsageError(reason or f"plugin {name!r}: {verb!r} is no click.Command")


def _say(message: str, exit_code: int, code: str, inner: Sequence[str] = ()) -> int:
    """One line; on a terminal a second one says where there is more.

    Args:
        message: what went wrong.
        exit_code: what to return.
        code: of the error; empty if its message names a code for each of several problems.
        inner: the codes of those.
    """
    from xrun.cli.terminal import clean, is_terminal

    text = clean(" ".join(message.split("\n")).strip())
    lines = f"xrun: [{code}] {text}\n" if code else f"xrun: {text}\n"
    if sys.stderr is not None:
        codes = [code] if code else list(dict.fromkeys(inner))
        if codes and code != USAGE and is_terminal(2):
            lines += f"xrun: xrun explain {' '.join(codes)} says more\n"
        sys.stderr.buffer.write(lines.encode("utf-8", "backslashreplace"))
    return exit_code
