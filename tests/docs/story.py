"""A page as a story: its blocks in order, in one folder and one shell, as a reader goes through it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.blocks import FOREIGN, ROOT, RUN_BY, Block, Command, check, commands
from tests.docs.matching import match, substitute

COMMAND_SECONDS = 200.0
_END = "end-of-command-7c1f"
_CHANGED_BY_RUNS = shutil.ignore_patterns("__pycache__", "checkpoints", "build", "*.egg-info", ".*_cache")


class Failed(AssertionError):
    """A block did something else than its page says."""


class Story:
    """Runs blocks in a folder that looks like a fresh checkout, with a fresh home.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.names: dict[str, str] = {}
        self._folder = folder / "checkout"
        self._folder.mkdir()
        shutil.copytree(ROOT / "examples", self._folder / "examples", ignore=_CHANGED_BY_RUNS)
        (self._folder / ".venv").symlink_to(ROOT / ".venv")
        self._env = environment(folder)
        self._shell = Shell(folder, self._folder, self._env)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.close()
        self._end_jobs()

    def tell(self, block: Block) -> None:
        """Does what a reader does with a block.

        Raises:
            BadBlock: it breaks a rule.
            Failed: what came is not what the page shows.
        """
        check(block)
        if block.language == "text" or block.marks.keys() & {RUN_BY, FOREIGN}:
            return
        if block.language == "console":
            for command in commands(block):
                self._type(block, command)
        elif block.file:
            path = self._folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(substitute(block.text, self.names))
            path.chmod(0o755 if block.language == "sh" else 0o644)
        elif block.language == "python":
            self._execute(block)
        else:
            raise Failed(f"{block.where}: a block of {block.language} names its file in a comment on the first line")

    def _type(self, block: Block, command: Command) -> None:
        printed, code = self._shell.run(substitute(command.text, self.names))
        where = f"{block.page}:{command.line}: $ {command.text}"
        if code and not command.may_fail:
            raise Failed(f"{where}\nexited {code}:\n{printed}")
        if difference := match(command.output, printed, self.names):
            raise Failed(f"{where}\nprinted something else:\n{difference}")

    def _execute(self, block: Block) -> None:
        done = subprocess.run(
            [sys.executable, "-c", substitute(block.text, self.names)],
            cwd=self._folder,
            env={**self._env, "PYTHONPATH": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            raise Failed(f"{block.where}: exited {done.returncode}:\n{done.stdout}{done.stderr}")

    def _end_jobs(self) -> None:
        """Stops what the page left running."""
        xrun = [sys.executable, "-m", "xrun"]
        listed = subprocess.run(
            [*xrun, "list", "-s", "local", "--json"], cwd="/", env=self._env, capture_output=True, text=True
        )
        for app in json.loads(listed.stdout)["apps"] if listed.stdout else []:
            if app["state"] in ("SUBMITTED", "PENDING", "RUNNING"):
                subprocess.run([*xrun, "cancel", app["handle"]], cwd="/", env=self._env, capture_output=True)


class Shell:
    """A shell on a terminal of 120 columns, asked command by command.

    Args:
        folder: where it keeps its own files.
        start: its working directory.
        env: its environment.
    """

    def __init__(self, folder: Path, start: Path, env: dict[str, str]) -> None:
        self._file = folder / "command.sh"
        self._code = 0
        self._terminal, screen = pty.openpty()
        tty.setraw(screen)
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=screen,
            stderr=screen,
            cwd=start,
            env=env,
            start_new_session=True,
        )
        os.close(screen)

    def run(self, command: str) -> tuple[str, int]:
        """What a command printed on the terminal, and its exit code."""
        self._file.write_text(command + "\n")
        asked = f"(exit {self._code}); . {self._file} </dev/null; printf '{_END} %d\\n' $?\n"
        assert self._process.stdin
        self._process.stdin.write(asked.encode())
        self._process.stdin.flush()
        printed, deadline = b"", time.monotonic() + COMMAND_SECONDS
        while not (end := re.search(rf"{_END} (\d+)\n\Z".encode(), printed)):
            ready, _, _ = select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Failed(f"$ {command}\nhas not ended after {COMMAND_SECONDS:.0f} s:\n{printed.decode()}")
            try:
                printed += os.read(self._terminal, 65536)
            except OSError:
                raise Failed(f"$ {command}\nended the shell:\n{printed.decode()}") from None
        self._code = int(end[1])
        return printed[: end.start()].decode("utf-8", "backslashreplace"), self._code

    def close(self) -> None:
        """Ends the shell."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._terminal)


def environment(folder: Path) -> dict[str, str]:
    """A reader's environment: this Python first on PATH, a home of its own, nothing that configures xrun."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XRUN_", "XDG_", "PYTEST_", "COV_"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "user"),
        "XRUN_HOME": str(folder / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
