"""Who is at an app on this machine: a lock an app, held by whoever submits, looks after or removes it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from xrun.schedulers.home import home


def place() -> str:
    """Where these locks tell who lives: this machine since it was booted, and this folder of xrun's."""
    texts = [home()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            texts.append(file.read())
        texts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Lock:
    """A lock that is held.

    Attributes:
        fd: the descriptor that holds it.
        handed_over: whether another process has inherited it and goes on to hold it.
    """

    def __init__(self, fd: int) -> None:
        self.fd, self.handed_over = fd, False


@contextmanager
def try_lock(app_id: str) -> Iterator[Lock | None]:
    """The app's lock; None if somebody else has it. Its file is removed in the end, unless it was handed over."""
    fd = _take(app_id)
    if fd is None:
        yield None
        return
    lock = Lock(fd)
    try:
        yield lock
    finally:
        if not lock.handed_over:
            forget(app_id)
        os.close(fd)


def forget(app_id: str) -> None:
    """Removes the file of a lock that is held."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(app_id))


def _take(app_id: str) -> int | None:
    os.makedirs(os.path.dirname(_path(app_id)), exist_ok=True)
    while True:
        fd = os.open(_path(app_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_ino == os.stat(_path(app_id)).st_ino:
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass
        os.close(fd)  # its file was removed, by who held it, before it could be locked


def _path(app_id: str) -> str:
    return os.path.join(home(), "docker", f"{app_id}.lock")
