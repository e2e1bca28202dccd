"""What git says of the working directory: one process of git's, asked early and answered when it is convenient."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from typing import NamedTuple

PATIENCE = 2.0
"""Seconds that git is given; a work tree on a slow disk may take longer, and goes unrecorded."""

# neither locks nor a daemon nor a program that the work tree's own configuration names
_WORDS = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false"]
_WORDS += ["status", "--porcelain=v2", "--branch", "--untracked-files=no"]
_OID = b"# branch.oid "
_BURIAL = 50  # milliseconds; what hangs in the kernel longer than that stays a zombie of ours


class GitInfo(NamedTuple):
    """The state of a work tree.

    Attributes:
        commit: of HEAD, in hex; None outside of a work tree, without a commit or without git.
        dirty: whether tracked files differ from it; None if not known.
    """

    commit: str | None = None
    dirty: bool | None = None


class GitQuery:
    """Asks git about the current folder. May be used from several threads."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE
        self._lock = threading.Lock()
        self._output = b""
        self._answer: GitInfo | None = None
        self._reader, self._process, self._owner = -1, -1, os.getpid()
        try:
            self._start()
        except OSError:  # there is no git, or no process or descriptor is left
            self._answer = GitInfo()

    def answer(self, timeout: float = PATIENCE) -> GitInfo | None:
        """The answer; None if it has not come yet.

        Args:
            timeout: seconds to wait for it at most; once git has had `PATIENCE` seconds there is one, if an empty one.
        """
        if self._answer is None and self._lock.acquire(timeout=timeout):  # a fork may have left it locked
            try:
                self._read(min(self._until, time.monotonic() + timeout))
            finally:
                self._lock.release()
        return self._answer

    def __del__(self) -> None:
        """Nobody will ask any more, as after a submission that failed: neither a process nor a pipe stays behind."""
        if self._answer is None and self._process >= 0 and os.getpid() == self._owner:  # a fork may have closed it all
            self._finish(GitInfo())

    def _start(self) -> None:
        self._reader, writer = os.pipe()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            actions = [
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_DUP2, null, 2),
            ]
            # its own process group and no blocked signals: a Ctrl-C is ours, and we may have signals on hold
            self._process = os.posix_spawnp(
                _WORDS[0], _WORDS, os.environ, file_actions=actions, setpgroup=0, setsigmask=()
            )
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)
            os.close(null)

    def _read(self, end: float) -> None:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        while self._answer is None:
            left = end - time.monotonic()
            if not poll.poll(max(0.0, left) * 1000):
                if time.monotonic() >= self._until:
                    self._finish(GitInfo(_commit(self._output)))
                return
            block = os.read(self._reader, 1 << 16)
            self._output += block
            commit, dirty = _commit(self._output), _dirty(self._output)
            if not block or dirty:  # the first file that differs is enough
                self._finish(GitInfo(commit, dirty) if commit else GitInfo())

    def _finish(self, answer: GitInfo) -> None:
        os.close(self._reader)
        try:
            # while nobody has waited for it, the pid is its own
            if os.waitpid(self._process, os.WNOHANG) == (0, 0):
                os.kill(self._process, signal.SIGKILL)
                for _ in range(_BURIAL):
                    if os.waitpid(self._process, os.WNOHANG) != (0, 0):
                        break
                    time.sleep(0.001)
        except OSError:
            pass  # somebody else has waited for it
        self._answer = answer


def _commit(output: bytes) -> str | None:
    for line in output.split(b"\n")[:-1]:
        if line.startswith(_OID):
            text = line[len(_OID) :].decode("ascii", "replace")
            return None if text.startswith("(") else text
    return None


def _dirty(output: bytes) -> bool:
    return any(line and not line.startswith(b"#") for line in output.split(b"\n")[:-1])
