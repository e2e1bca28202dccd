"""``xrun completion``, and the answer to a shell that asks."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

import click

from xrun.cli import output
from xrun.cli.shells import SHELLS, VARIABLE
from xrun.errors import UsageError

_PATIENCE = 3.0  # seconds; no answer is better than a terminal that hangs


@click.command(short_help="Print what makes a shell complete xrun's words.")
@click.argument("shell", required=False, type=click.Choice(list(SHELLS)))
def completion(shell: str | None) -> int:
    """Print the script that makes SHELL (default: yours, by $SHELL) complete xrun's words.

    Verbs and their options, components and theirs, functions in a file (which isn't run), schedulers, handles.

    \b
    bash, in ~/.bashrc:
        eval "$(xrun completion bash)"
    zsh, in ~/.zshrc after compinit:
        eval "$(xrun completion zsh)"
    fish:
        xrun completion fish > ~/.config/fish/completions/xrun.fish

    It starts quicker from a file: bash reads ~/.local/share/bash-completion/completions/xrun by itself where the
    package bash-completion is installed, zsh a file _xrun in a folder of $fpath.

    \b
    xrun completion zsh > ~/.zfunc/_xrun
    xrun completion bash > ~/.local/share/bash-completion/completions/xrun
    """  # noqa: D301 - click wants the character
    if shell is None:
        shell = os.path.basename(os.environ.get("SHELL", ""))
        if shell not in SHELLS:
            raise UsageError(f"$SHELL is {shell or 'not set'}; name a shell: {', '.join(SHELLS)}")
    output.answer(SHELLS[shell](_NOTHING, {}, "xrun", VARIABLE).source().rstrip("\n"))
    return 0


_NOTHING = click.Command("xrun")  # click wants a command; ours are found by our own grammar


def answer_shell(shell: str) -> NoReturn:
    """Answers a completion script and exits: whatever goes wrong, nothing is said but the answer.

    Args:
        shell: which shell asks.
    """
    signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    out = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):  # a plugin may print when it is imported
        os.dup2(silence, fd)
    code = 0
    try:
        text = SHELLS[shell](_NOTHING, {}, "xrun", VARIABLE).complete()
        os.write(out, text.encode("utf-8", "surrogateescape") + b"\n")
    except BaseException:  # noqa: BLE001 - under a TAB there is nobody to tell
        code = 1
    os._exit(code)
