"""Completion in the shells themselves: real TABs on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import xrun
from .terminals import Terminal

SHELLS = ("bash", "zsh", "fish")
PROGRAM = """#!/bin/sh
if [ -n "$_XRUN_COMPLETE" ] || [ "$1 $3" = "completion " ]; then exec {python} -m xrun "$@"; fi
for word; do printf '%s\\n' "$word"; done > {ran}.new
mv {ran}.new {ran}
"""
JOBS = """
from typing import Literal
from xrun.specs import AppDef

raise RuntimeError("completion runs no code")

def sweep(*rest: str, mode: Literal["fast", "slow"] = "fast", verbose: bool = False) -> AppDef:
    '''Runs a sweep.

    Args:
        mode: how.
        verbose: say more.
    '''

def single(path: str) -> AppDef:
    '''One run.'''

def helper() -> int: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with components, files of odd names, and xrun on the path."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "jobs.py").write_text(JOBS)
    (work / "data file.txt").write_text("")
    (work / "deep").mkdir()
    (work / "deep" / "more.py").write_text(JOBS)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "xrun").write_text(PROGRAM.format(python=sys.executable, ran=tmp_path / "ran"))
    (programs / "xrun").chmod(0o755)
    return work


def environment(folder: Path) -> dict[str, str]:
    home = folder.parent
    root = Path(__file__).resolve().parents[2]
    return {
        "PATH": f"{folder.parent / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "PYTHONPATH": str(root),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "PS1": "READY> ",
        "TERM": "xterm",
    }


def need(shell: str) -> str:
    """The shell's path; without one the test is skipped, which CI takes for a failure."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} (Debian: apt-get install {shell})")
    return path


def typed(shell: str, folder: Path, line: str) -> list[str]:
    """The words that xrun is called with after a line, a TAB and then END."""
    with _started(shell, folder) as terminal:
        terminal.send(line + "\tEND\r")  # a shell takes what is typed in its order
        ran = folder.parent / "ran"
        terminal.until(ran.exists)
        words = ran.read_text().splitlines()
        ran.unlink()
        return words


def _started(shell: str, folder: Path) -> Terminal:
    path, env = need(shell), environment(folder)
    if shell == "bash":
        rc = folder.parent / "bashrc"
        rc.write_text('bind "set bell-style none"\neval "$(xrun completion bash)"\nPS1="READY> "\n')
        terminal = Terminal([path, "--noprofile", "--rcfile", str(rc), "-i"], cwd=folder, env=env, columns=400)
    elif shell == "fish":
        config = folder.parent / "config" / "fish" / "completions"
        config.mkdir(parents=True, exist_ok=True)
        (config / "xrun.fish").write_text(xrun("completion", "fish").stdout)
        (config.parent / "config.fish").write_text("function fish_prompt; echo 'READY> '; end\nset -g fish_greeting\n")
        terminal = Terminal([path, "-i"], cwd=folder, env=env, columns=400)
    else:
        (folder.parent / ".zshrc").write_text(
            'autoload -Uz compinit; compinit -u -D\neval "$(xrun completion zsh)"\nPS1="READY> "\nunsetopt beep\n'
        )
        terminal = Terminal([path, "-d", "-i"], cwd=folder, env={**env, "ZDOTDIR": str(folder.parent)}, columns=400)
    terminal.until("READY> ")
    terminal.quiet()
    return terminal


CASES = {
    "xrun stat": ["status", "END"],
    "xrun dist.dd": ["dist.ddp", "END"],
    "xrun dist.ddp --scr": ["dist.ddp", "--script", "END"],
    "xrun run --wait dist.ddp --no-deb": ["run", "--wait", "dist.ddp", "--no-debug", "END"],
    "xrun -s mem": ["-s", "memory", "END"],
    "xrun --scheduler=mem": ["--scheduler=memory", "END"],
    "xrun -cfg grace_period=3,max_r": ["-cfg", "grace_period=3,max_runtime=END"],
    "xrun jobs.py:sw": ["jobs.py:sweep", "END"],
    "xrun job": ["jobs.py:END"],
    "xrun render deep/more.py:si": ["render", "deep/more.py:single", "END"],
    "xrun jobs.py:sweep --mode=sl": ["jobs.py:sweep", "--mode=slow", "END"],
    "xrun jobs.py:sweep --mode fa": ["jobs.py:sweep", "--mode", "fast", "END"],
    "xrun utils.sh -- cat data": ["utils.sh", "--", "cat", "data file.txt", "END"],
    "xrun dist.ddp --script=dat": ["dist.ddp", "--script=data file.txt", "END"],
    "xrun log --streams=stdo": ["log", "--streams=stdout", "END"],
    "xrun completion f": ["completion", "fish", "END"],
    "xrun --workspace dee": ["--workspace", "deep/END"],
    "xrun nothing.lik": ["nothing.likEND"],
}
"""line before the TAB -> the words of the line after it."""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", CASES)
def test_a_tab(shell: str, folder: Path, line: str) -> None:
    assert typed(shell, folder, line) == CASES[line]


@pytest.mark.parametrize("shell", SHELLS)
def test_handles_with_their_colons_and_slashes(shell: str, folder: Path, xrun_home: Path) -> None:
    handle = xrun("--detach", "utils.sh", "--num_replicas", "2", "--", "true").stdout.strip()
    assert xrun("wait", handle).returncode == 0
    assert typed(shell, folder, "xrun status local://def") == ["status", handle, "END"]
    assert typed(shell, folder, "xrun status s") == ["status", handle, "END"]
    assert typed(shell, folder, f"xrun log {handle}/") == ["log", f"{handle}/sh", "END"]
    assert typed(shell, folder, f"xrun log {handle}/sh/0,") == ["log", f"{handle}/sh/0,1", "END"]


def test_an_open_quote_in_bash(folder: Path) -> None:
    assert typed("bash", folder, "xrun 'jobs.py:sw") == ["jobs.py:sweepEND"]
