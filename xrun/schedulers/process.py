"""One attempt of a replica: a child in a session of its own, its output in pipes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from xrun.schedulers.logs import Stream

_READ = 1 << 16


class Process:
    """A started attempt.

    Args:
        attempt: its number.
        error_file: where it may leave its last error.
        words: the program, looked up on ``env``'s PATH, and its arguments.
        env: its whole environment.
        cwd: its working directory.

    Raises:
        OSError: it can't be started.
    """

    def __init__(
        self, attempt: int, error_file: str, words: Sequence[bytes], env: Mapping[bytes, bytes], cwd: str
    ) -> None:
        self.attempt, self.error_file = attempt, error_file
        self.kill_at: float | None = None
        self._child = subprocess.Popen(
            words,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._child.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.pipes: dict[int, Stream] = {}
        for pipe, stream in ((self._child.stdout, Stream.STDOUT), (self._child.stderr, Stream.STDERR)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self.pipes[pipe.fileno()] = stream

    def read(self, fd: int) -> bytes | None:
        """What a pipe holds now; ``b""`` at its end, None if there is nothing yet."""
        try:
            return os.read(fd, _READ)
        except BlockingIOError:
            return None

    def rest(self) -> Iterator[tuple[Stream, bytes]]:
        """What the pipes still hold; not their end, since a process that left the session may keep them open."""
        for fd, stream in self.pipes.items():
            while data := self.read(fd):
                yield stream, data

    def signal(self, number: int) -> None:
        """Sends a signal to all of the replica's process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def bury(self) -> int:
        """Ends what the first process left behind and gives its exit code, negative for a signal."""
        # before the wait: only an unburied leader keeps the group's number from being used again
        self.signal(signal.SIGKILL)
        return self._child.wait()

    def close(self) -> None:
        """Closes the pipes."""
        os.close(self.pidfd)
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
