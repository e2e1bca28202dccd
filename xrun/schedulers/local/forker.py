"""A process that forks supervisors for a launcher that has threads, or more memory than a copy is worth.

It has no threads and imports little, since both make a fork dear; it ends when its socket closes.
"""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from xrun.schedulers.local.launch import ENDED, Launch, detach, supervise
from xrun.schedulers.local.supervisor import Plan
from xrun.specs.serialize import from_dict

if TYPE_CHECKING:
    import subprocess

_LENGTH = struct.Struct("<I")
_SPARE = 4  # supervisors without an app that are kept


class Forker:
    """The launcher's end; may be used from several threads."""

    def __init__(self) -> None:
        import subprocess
        import threading

        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
        code = (
            f"import sys; sys.path.insert(0, {package_root!r}); from {__name__} import serve; serve({theirs.fileno()})"
        )
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()

    def fork(self, launch: Launch) -> str | None:
        """As `fork_supervisor`, from any thread; None if the forker is gone, and perhaps an answer with it."""
        body = marshal.dumps((launch.plan._asdict() | {"app": None}, dict(launch.head)))
        with self._lock:
            try:
                _send(self._socket, body)
                answer = _receive(self._socket)
            except OSError:
                return None
        return None if answer is None else answer.decode()

    def close(self) -> None:
        """Ends the forker; supervisors go on."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # a fork of this process may hold it too
        self._socket.close()
        self._process.wait()


def serve(fileno: int) -> None:
    """The forker's main loop: hands each request to a supervisor that has nothing to do, else to a new one.

    A supervisor that has ended its app is used again: a fork costs more than all that a short job needs of one.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the supervisors
    gc.freeze()
    launcher = socket.socket(fileno=fileno)
    launcher.set_inheritable(False)
    poll = select.poll()
    poll.register(launcher, select.POLLIN)
    workers: dict[int, socket.socket] = {}
    idle: list[int] = []
    while True:
        ready = [fd for fd, _ in poll.poll()]
        for fd in ready:
            if fd == fileno:
                continue
            if workers[fd].recv(1) and len(idle) < _SPARE:
                idle.append(fd)
            else:  # it is gone, or not needed
                idle = [known for known in idle if known != fd]
                poll.unregister(fd)
                workers.pop(fd).close()
        if fileno in ready:
            request = _receive(launcher)
            if request is None:
                return
            answer = _ask(workers[idle.pop()], request) if idle else None
            if answer is None:  # none is idle, or the one that was has been killed
                worker = _new_worker()
                workers[worker.fileno()] = worker
                poll.register(worker, select.POLLIN)
                answer = _ask(worker, request)
            _send(launcher, answer or ENDED.encode())


def _ask(worker: socket.socket, request: bytes) -> bytes | None:
    """A supervisor's answer, or None if it is gone."""
    try:
        _send(worker, request)
        return _receive(worker)
    except OSError:
        return None


def _new_worker() -> socket.socket:
    """Forks a supervisor; returns the socket that it takes requests from."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            _work(theirs, detach(keep=theirs.fileno()))
        finally:
            os._exit(0)
    theirs.close()
    return ours


def _work(requests: socket.socket, wakeup: int) -> None:
    """All of a supervisor's life: app after app, as long as its forker has one for it."""
    while (body := _receive(requests)) is not None:
        values, head = marshal.loads(body)  # noqa: S302 - from our own launcher, over a private socket
        values["app"] = from_dict(head["app"])
        supervise(Launch(Plan(**values), head), wakeup, lambda answer: _tell(requests, answer.encode()))
        with suppress(OSError):
            requests.send(b"i")


def _tell(connection: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # the forker may be gone, and the launcher with it
        _send(connection, answer)


def _send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(body)) + body)


def _receive(connection: socket.socket) -> bytes | None:
    """One message, or None if the other side is gone."""
    head = _receive_exactly(connection, _LENGTH.size)
    return None if head is None else _receive_exactly(connection, _LENGTH.unpack(head)[0])


def _receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
