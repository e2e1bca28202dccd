"""A program on a terminal of ours: a pty with a size, and the screen that comes of what it writes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07")


class Terminal:
    """A program that thinks that a person is there.

    Args:
        command: what to start.
        columns: the terminal's width.
        lines: its height.
        cwd: where.
        env: added to ours; TERM is xterm unless given.
    """

    def __init__(
        self,
        command: list[str],
        *,
        columns: int = 100,
        lines: int = 30,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.columns, self.lines = columns, lines
        self.written = b""
        self._at = 0
        own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        kept = {k: v for k, v in os.environ.items() if k not in unset}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**kept, "TERM": "xterm", **(env or {})},
            preexec_fn=_take_terminal,  # noqa: PLW1509 - no thread of ours runs meanwhile
        )
        os.close(theirs)
        self._fd = own

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._fd)

    def send(self, text: str) -> None:
        """Types."""
        os.write(self._fd, text.encode())

    def until(self, there: str | Callable[[], object], timeout: float = 20) -> str:
        """Reads until a text has come since the last call, or a condition holds; returns what came."""
        end = time.monotonic() + timeout
        while True:
            fresh = self.written[self._at :].decode("utf-8", "replace")
            if (there in fresh) if isinstance(there, str) else there():
                self._at = len(self.written)
                return fresh
            assert time.monotonic() < end, f"{there!r} did not come; there is {fresh!r}"
            self._read(min(0.2, max(0.0, end - time.monotonic())))

    def end(self, timeout: float = 30) -> int:
        """Reads until the program has ended; its exit code."""
        self.until(lambda: self.process.poll() is not None, timeout)
        while self._read(0.05):
            pass
        return self.process.returncode

    def quiet(self, seconds: float = 0.25) -> None:
        """Reads until nothing has come for a while: when a shell has drawn all that it will."""
        while self._read(seconds):
            pass
        self._at = len(self.written)

    def _read(self, timeout: float) -> bool:
        if not select.select([self._fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.written += data
        return bool(data)

    @property
    def text(self) -> str:
        """All that was written, escape sequences and all."""
        return self.written.decode("utf-8", "replace")

    @property
    def screen(self) -> list[str]:
        """The lines that a person sees, and those that have scrolled away."""
        return screen_of(self.text, self.columns)


def on_terminal(
    *words: str, columns: int = 80, cwd: Path | None = None, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Exit code of ``xrun`` and all that it writes to a terminal."""
    with Terminal([sys.executable, "-m", "xrun", *words], columns=columns, cwd=cwd, env=env) as shown:
        return shown.end(), shown.text.replace("\r\n", "\n")


def _take_terminal() -> None:
    """Makes the new program the first of a session whose terminal is its stdin, so that Ctrl-C reaches it."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def screen_of(text: str, columns: int) -> list[str]:
    """What a terminal makes of a text; knows the sequences that we use and passes over others."""
    rows, row, column = [""], 0, 0
    at = 0
    while at < len(text):
        if escape := _ESCAPE.match(text, at):
            at = escape.end()
            count = int(escape[1]) if (escape[1] or "").isdigit() else 1
            if escape[2] == "A":
                row = max(0, row - count)
            elif escape[2] == "K":
                rows[row] = rows[row][:column]
            elif escape[2] == "J":
                rows[row] = rows[row][:column]
                del rows[row + 1 :]
            continue
        char = text[at]
        at += 1
        if char == "\r":
            column = 0
        elif char == "\n":
            row += 1
        elif char == "\b":
            column = max(0, column - 1)
        elif char >= " ":
            if column == columns:
                row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row].ljust(column)[:column] + char + rows[row][column + 1 :]
            column += 1
        rows += [""] * (row + 1 - len(rows))
    return [line.rstrip() for line in rows]
