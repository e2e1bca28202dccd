"""Starting a replica and ending all of it, whatever it has become."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping

# Python ignores these in itself; a program must get them as the kernel has them
_DEFAULT_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGIO,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def start(words: list[bytes], env: Mapping[bytes, bytes], cwd: str, stdout: str, stderr: str) -> int:
    """Starts a program in a session of its own, its input empty, its output appended to files.

    Args:
        words: the program and its arguments; looked up on ``env``'s PATH unless it holds a ``/``.
        env: its whole environment.
        cwd: its working directory; this process goes there.
        stdout: file for its standard output.
        stderr: file for its standard error.

    Returns:
        Its pid, also that of its session and process group.

    Raises:
        OSError: it can't be started.
    """
    os.chdir(cwd)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        find_program(words[0], env),
        words,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, stdout, append, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, stderr, append, 0o600),
        ],
        setsid=True,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=(),
    )


def find_program(program: bytes, env: Mapping[bytes, bytes]) -> bytes:
    """The file that execvp(3) would run with that environment.

    Raises:
        FileNotFoundError: it is nowhere on PATH.
        PermissionError: what is there can't be executed.
    """
    if b"/" in program:
        return program
    denied = b""
    for folder in env.get(b"PATH", os.defpath.encode()).split(b":"):
        path = os.path.join(folder or b".", program)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            denied = path
    name = program.decode("utf-8", "replace")
    if denied:
        raise PermissionError(13, "Permission denied", denied.decode("utf-8", "replace"))
    raise FileNotFoundError(2, "not found on PATH", name)


def signal_replicas(wanted: set[int], number: int, marks: Mapping[int, bytes]) -> None:
    """Sends a signal to every process of some replicas, whatever session they have moved to.

    Args:
        wanted: pids of the first processes of these replicas.
        number: the signal.
        marks: for the first process of every replica that may have others, a ``NAME=value`` of its environment that no
            other replica has. A process whose parent has died is our child, and known by its session or its mark.
    """
    for child in children(os.getpid()):
        owner = child if child in marks else session_of(child)
        if owner not in marks:
            owner = next((leader for leader, mark in marks.items() if has_env(child, mark)), 0)
        if owner in wanted:
            for pid in (child, *descendants(child)):
                send(pid, number)


def kill_descendants() -> None:
    """SIGKILL to every process below this one."""
    for pid in descendants(os.getpid()):
        send(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Every process below one, deepest last."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def has_children() -> bool:
    """Whether this process has any, running or not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def find_marked(mark: bytes) -> list[int]:
    """Every process of this host whose environment holds ``NAME=value``."""
    return [pid for pid in _all_pids() if pid != os.getpid() and has_env(pid, mark)]


def has_env(pid: int, mark: bytes) -> bool:
    """Whether a process was started with ``NAME=value`` in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def session_of(pid: int) -> int:
    """The session of a process; 0 if it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def send(pid: int, number: int) -> None:
    """A signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def in_sessions(leaders: Iterable[int]) -> list[int]:
    """Every process of some sessions, on this host."""
    wanted = set(leaders)
    return [pid for pid in _all_pids() if session_of(pid) in wanted]


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid: int) -> set[int]:
    """The processes whose parent is this one."""
    found: set[int] = set()
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # a child belongs to the thread that made it
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.update(map(int, file.read().split()))
    except OSError:
        pass
    return found


def start_time(pid: int) -> int:
    """When a process started, in ticks since boot; 0 if there is none. With the pid it names one process for good."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
