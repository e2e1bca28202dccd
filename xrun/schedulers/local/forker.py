"""A process that forks supervisors for a launcher that has threads, or more memory than a copy is worth.

It has no threads and imports little, since both make a fork dear; it ends when its socket closes.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING

from xrun.errors import BackendError
from xrun.schedulers.local import state
from xrun.schedulers.local.launch import Launch, fork_supervisor
from xrun.schedulers.local.supervisor import Plan
from xrun.specs.app import AppDef
from xrun.specs.serialize import from_plain, to_plain

if TYPE_CHECKING:
    import subprocess

_LENGTH = struct.Struct("<I")


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
            env={**os.environ, state.HOME_VARIABLE: state.home()},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()

    def fork(self, launch: Launch) -> str:
        """As `fork_supervisor`, from any thread.

        Raises:
            BackendError: the forker is gone.
        """
        body = marshal.dumps((vars(launch.plan) | {"app": to_plain(launch.plan.app)}, dict(launch.head)))
        with self._lock:
            try:
                self._socket.sendall(_LENGTH.pack(len(body)) + body)
                answer = _receive(self._socket)
            except OSError as error:
                raise BackendError(f"the local forker is gone ({error}); make a new Runner") from error
        if answer is None:
            raise BackendError("the local forker is gone; make a new Runner")
        return answer.decode()

    def close(self) -> None:
        """Ends the forker; supervisors go on."""
        self._socket.close()
        self._process.wait()


def serve(fileno: int) -> None:
    """The forker's main loop: a request, a fork, an answer, until the socket closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the supervisors
    gc.freeze()
    with socket.socket(fileno=fileno) as connection:
        connection.set_inheritable(False)
        while (body := _receive(connection)) is not None:
            values, head = marshal.loads(body)  # noqa: S302 - from our own launcher, over a private socket
            values["app"] = from_plain(AppDef, values["app"], "app")
            answer = fork_supervisor(Launch(Plan(**values), head)).encode()
            try:
                connection.sendall(_LENGTH.pack(len(answer)) + answer)
            except OSError:
                return


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
