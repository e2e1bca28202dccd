"""Which GPU is whose: a lock a device, held by the supervisor and by the replica that has it.

The kernel lets go of a lock when the last process that holds it ends, so a device is free exactly when nobody uses it.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence

from xrun.schedulers.local import state


class GpuLocks:
    """The locks on the devices of one app.

    Args:
        devices: the ids to choose from.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._folder = os.path.join(state.root(), "gpus")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._devices = devices
        self._busy: list[str] = []
        self._taken: list[int] = []
        self._waiters: set[int] = set()

    def take(self, count: int) -> list[str] | None:
        """Takes ``count`` devices, all or none, for this process and all that it starts from now on.

        Returns:
            Their ids, or None if fewer are free.
        """
        self._busy = []
        gate = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(gate, fcntl.LOCK_EX)
        taken: dict[str, int] = {}
        for name in self._devices:
            fd = self._open(name) if len(taken) < count else -1
            if fd >= 0 and _try_lock(fd):
                taken[name] = fd
            elif fd >= 0:
                os.close(fd)
                self._busy.append(name)
        if len(taken) == count:
            self._taken = list(taken.values())
            for fd in self._taken:
                os.set_inheritable(fd, True)
        else:
            for fd in taken.values():
                os.close(fd)
        os.close(gate)
        return list(taken) if len(taken) == count else None

    def wait_for_change(self) -> None:
        """Starts a child for every device that `take` found busy; one that ends says that its device became free.

        A lock can't be waited for beside other events, and no signal tells of one that is let go.
        """
        from xrun.schedulers.local import prctl

        for name in self._busy:
            pid = os.fork()
            if pid == 0:
                prctl.die_with_parent()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                try:
                    os.closerange(3, 1 << 16)  # the supervisor's lock and socket must end with it
                    fcntl.flock(self._open(name), fcntl.LOCK_EX)
                finally:
                    os._exit(0)
            self._waiters.add(pid)

    def waiter_ended(self, pid: int) -> bool:
        """Whether ``pid``, which has ended, was a child of `wait_for_change`; the others are ended then."""
        if pid not in self._waiters:
            return False
        self._waiters.discard(pid)
        self.stop_waiting()
        return True

    def stop_waiting(self) -> None:
        """Ends the children of `wait_for_change`."""
        for pid in self._waiters:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._waiters.clear()

    def close(self) -> None:
        """Lets go of what was taken, as far as this process is concerned."""
        self.stop_waiting()
        for fd in self._taken:
            os.close(fd)
        self._taken.clear()

    def _open(self, name: str) -> int:
        path = os.path.join(self._folder, f"gpu-{name.replace('/', '_')}.lock")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
