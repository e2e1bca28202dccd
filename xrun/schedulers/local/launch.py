"""Making an app: its folder, its supervisor, and the word that both are there.

A supervisor makes the app's folder under a temporary name, takes the lock in it and only then gives it its name: an
app that can be seen has a supervisor, and whoever asked for it may be killed at any moment. A launcher that owns its
process (the command line) forks the supervisor itself; any other has a forker, a small process without threads that
forks one for each request and ends when its socket closes.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from xrun.schedulers.home import HOME_VARIABLE
from xrun.schedulers.local import state
from xrun.schedulers.local.supervisor import Plan, Supervisor

CREATED, EXISTS, ENDED = "created", "exists", "its supervisor ended at once"
"""Answers about an app in the making; any other is why it could not be made."""

_NAMESAKE = 5.0  # seconds to wait for an address that somebody else has


class Launch(NamedTuple):
    """A plan and the first line of the app's record."""

    plan: Plan
    head: Mapping[str, Any]


def fork_supervisor(launch: Launch) -> str:
    """Forks the supervisor of an app from this process, which must have no other threads.

    Returns:
        CREATED, EXISTS, or why it could not be done.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            wakeup = detach(keep=writer)
            supervise(launch, wakeup, lambda answer: _write_and_close(writer, answer))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        answer = file.read()
    return answer or ENDED


def detach(keep: int) -> int:
    """Makes this process its own: no terminal, no inherited files or handlers; returns the end that signals wake."""
    os.setsid()
    gc.freeze()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd, inheritable=True)
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 16)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGIO, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # only to wake the wait
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(number, signal.SIG_IGN)
    return reader


def supervise(launch: Launch, wakeup: int, answer: Callable[[str], None]) -> None:
    """Makes an app and runs it to its end, in a process that `detach` has made its own.

    Args:
        launch: the app.
        wakeup: what `detach` returned.
        answer: told CREATED, EXISTS or why it could not be done, as soon as that is known.
    """
    os.environ[HOME_VARIABLE] = launch.plan.home
    try:
        made = _make_folder(launch)
    except OSError as error:
        answer(str(state.state_error(error, "keep the job's state in")))
        return
    answer(CREATED if made else EXISTS)
    if made is None:
        return
    supervisor = Supervisor(launch.plan, *made, wakeup)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.on_signal)
    try:
        supervisor.run()
    except BaseException:
        import traceback

        log = os.path.join(launch.plan.folder, "supervisor.log")
        supervisor.give_up(f"a bug of xrun's; please report {log}")
        with open(log, "a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        raise
    finally:
        with suppress(OSError):
            os.unlink(_live_path(launch.plan.app_id))
        supervisor.close()


def _write_and_close(fd: int, answer: str) -> None:
    with suppress(OSError):  # the launcher may be gone
        os.write(fd, answer.encode())
    os.close(fd)


def _make_folder(launch: Launch) -> tuple[state.RecordWriter, socket.socket] | None:
    """Makes the app's folder, complete and locked; None if there is one of that name.

    Raises:
        OSError: it can't be made; nothing is left of it.
    """
    folder = launch.plan.folder
    if os.path.exists(folder):
        return None
    new = os.path.join(state.live_folder(), f"{launch.plan.app_id}.{os.getpid()}.new")
    try:
        _make_new(new, os.path.dirname(folder))
        made = _fill(new, launch)
        os.link(os.path.join(new, state.RECORD), _live_path(launch.plan.app_id))
        os.rename(new, folder)
    except OSError as error:
        from shutil import rmtree

        rmtree(new, ignore_errors=True)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return None
        raise
    return made


def _make_new(new: str, apps: str) -> None:
    try:
        os.mkdir(new, 0o700)
    except FileNotFoundError:  # the first app of this home
        for parent in (apps, os.path.dirname(new)):
            os.makedirs(parent, mode=0o700, exist_ok=True)
        os.mkdir(new, 0o700)


def _fill(folder: str, launch: Launch) -> tuple[state.RecordWriter, socket.socket]:
    fd = os.open(os.path.join(folder, state.RECORD), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    listener = socket.socket(socket.AF_UNIX)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # held until this process is gone
        record = state.begin(fd, launch.head, sum(role.num_replicas for role in launch.plan.app.roles))
        record.write("supervisor", pid=os.getpid())
        _bind(listener, launch)
    except OSError:
        os.close(fd)
        listener.close()
        raise
    listener.listen(128)
    listener.setblocking(False)
    return record, listener


def _bind(listener: socket.socket, launch: Launch) -> None:
    """Takes the app's address; waits while a namesake has it, which is about to have a folder or to be gone.

    Raises:
        FileExistsError: the namesake has a folder now.
        OSError: it has neither, and does not go away.
    """
    end = time.monotonic() + _NAMESAKE
    while True:
        try:
            return listener.bind(state.address_of(launch.plan.app_id))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise
        if os.path.exists(launch.plan.folder):
            raise FileExistsError(errno.EEXIST, "there is one", launch.plan.folder)
        time.sleep(0.005)


def _live_path(app_id: str) -> str:
    return os.path.join(state.live_folder(), app_id)
