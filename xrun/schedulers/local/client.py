"""What the scheduler asks of this machine: apps made, found, waited for, cancelled, removed, and cleaned up after."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from xrun.errors import BackendError, describe_os_error
from xrun.schedulers.local import processes, state

if TYPE_CHECKING:
    from xrun.schedulers.local.forker import Forker
    from xrun.schedulers.local.launch import Launch

_LONGEST = 1e6  # seconds; poll(2) takes no more than 24 days
_ANSWER = 5.0  # seconds that a supervisor with many visitors may let us wait
_MERCY = 2.0  # seconds between SIGTERM and SIGKILL for what a dead supervisor left
_IN_THE_MAKING = 60.0  # seconds during which a folder without a supervisor may be about to get one


class LocalClient:
    """One launcher's view of this machine.

    Args:
        own_process: whether this process is a command of ours, without threads, so that it may fork by itself.
    """

    def __init__(self, own_process: bool) -> None:
        self._own_process = own_process
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._forker: Forker | None = None

    def launch(self, launch: Launch) -> bool:
        """Makes an app; False if there is one of that id.

        Raises:
            BackendError: it can't be made.
        """
        from xrun.schedulers.local.launch import CREATED, ENDED, EXISTS

        try:
            answer = self._fork(launch)
        except OSError as error:
            raise BackendError(describe_os_error(error, "start a process"), code="XR100") from error
        if answer in (CREATED, EXISTS):
            return answer == CREATED
        if answer in (None, ENDED):
            message = f"{answer or 'the local forker ended twice in a row'}; was it killed, for want of memory perhaps?"
            raise BackendError(message, code="XR100")
        raise BackendError(answer, code="XR102")

    def _fork(self, launch: Launch) -> str | None:
        from xrun.schedulers.local.launch import fork_supervisor

        if self._own_process:
            return fork_supervisor(launch)
        # an answer that was lost with its forker is asked for again: what was made then is there now
        return self._current_forker().fork(launch) or self._current_forker(anew=True).fork(launch)

    def close(self) -> None:
        """Ends the forker, if there is one."""
        with self._lock:
            if self._forker is not None and self._pid == os.getpid():
                self._forker.close()
            self._forker = None

    def _current_forker(self, *, anew: bool = False) -> Forker:
        from xrun.schedulers.local.forker import Forker

        if self._pid != os.getpid():  # we are a fork of the process that made it; two can't share one
            self._pid, self._lock, self._forker = os.getpid(), threading.Lock(), None
        with self._lock:
            if anew and self._forker is not None:
                self._forker.close()
                self._forker = None
            self._forker = self._forker or Forker()
            return self._forker


class Line:
    """A connection to an app's supervisor: it says that something changed, and closes when the supervisor ends.

    Args:
        app_id: the app; without a living supervisor the line is closed from the start.
    """

    def __init__(self, app_id: str) -> None:
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX)
        try:
            self._socket.settimeout(_ANSWER)
            self._socket.connect(state.address_of(app_id))
            self._socket.setblocking(False)
        except OSError:
            self.close()

    @property
    def open(self) -> bool:
        """Whether the supervisor is there, as far as is known."""
        return self._socket is not None

    def fileno(self) -> int:
        """For poll; -1 once closed."""
        return self._socket.fileno() if self._socket else -1

    def send(self, word: bytes) -> None:
        """Tells the supervisor something."""
        if self._socket:
            with suppress(OSError):
                self._socket.send(word)

    def drain(self) -> None:
        """Takes in what the supervisor said; closes the line if it is gone."""
        try:
            while self._socket:
                if not self._socket.recv(4096):
                    self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        """Hangs up."""
        if self._socket:
            self._socket.close()
            self._socket = None


def terminate(app_id: str) -> None:
    """SIGTERM to a supervisor that lives and can't be spoken to, as from another network namespace."""
    record = state.read(app_id)
    pid = record.supervisor if record else 0
    handle = _open_process(pid) if pid else None
    if handle is not None:
        if state.is_supervised(app_id):  # while it holds its lock, the pid is its own
            with suppress(OSError):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        os.close(handle)


def wait_any(lines: list[Line], timeout: float | None) -> None:
    """Sleeps until one of the supervisors says something or ends, or the time is up.

    Args:
        lines: open lines; none means only the time counts.
        timeout: seconds, or None for ever; after many days it returns early.
    """
    poll = select.poll()
    for line in lines:
        poll.register(line, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(None if timeout is None else min(max(0.0, timeout), _LONGEST) * 1000)}
    for line in lines:
        if line.fileno() in ready:
            line.drain()


def app_ids() -> list[str]:
    """Every app of this home."""
    try:
        return os.listdir(os.path.join(state.root(), "apps"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise state.state_error(error, "list the jobs in") from error


def live_app_ids() -> list[str]:
    """The apps of this home without a verdict, and some that have just got one."""
    try:
        return [name for name in os.listdir(state.live_folder()) if not name.endswith(".new")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise state.state_error(error, "list the jobs in") from error


def remove(app_id: str) -> bool:
    """Removes an app's folder; False if there was none."""
    folder = state.folder_of(app_id)
    if not os.path.isdir(folder):
        return False
    from shutil import rmtree

    try:
        rmtree(folder)
    except OSError as error:
        raise state.state_error(error, "remove") from error
    with suppress(OSError):
        os.unlink(os.path.join(state.live_folder(), app_id))
    return True


def sweep() -> list[str]:
    """Ends what supervisors that were killed left behind, and closes the books on their apps.

    Returns:
        The apps that were closed.
    """
    live = state.live_folder()
    try:
        names = os.listdir(live)
    except OSError:
        return []
    closed = []
    for name in names:
        if name.endswith(".new"):
            _sweep_unborn(os.path.join(live, name))
            continue
        try:
            if _is_of_this_host(name) and _sweep_app(name):
                closed.append(name)
        except BackendError:
            pass  # another user's, perhaps; it must not keep us from ours
    return closed


def _sweep_unborn(folder: str) -> None:
    """Removes a folder whose supervisor was killed before it was complete."""
    fd = _lock(os.path.join(folder, state.RECORD))
    if not _recent(folder) and (fd is not None or not os.path.exists(os.path.join(folder, state.RECORD))):
        from shutil import rmtree

        rmtree(folder, ignore_errors=True)
    if fd is not None:
        os.close(fd)


def _is_of_this_host(app_id: str) -> bool:
    record = state.read(app_id)
    if record is None or not record.head:
        return True
    mine, its = state.host_identity(), record.head.get("host", {})
    return bool(its.get("host") == mine["host"] and its.get("pidns") == mine["pidns"])


def _sweep_app(app_id: str) -> bool:
    mark = os.path.join(state.live_folder(), app_id)
    fd = _lock(os.path.join(state.folder_of(app_id), state.RECORD))
    if fd is None:
        if not os.path.isdir(state.folder_of(app_id)) and not _recent(mark):
            with suppress(OSError):
                os.unlink(mark)
        return False
    try:
        record = state.read(app_id)
        if record is None or record.ended:
            return False
        _end_leftovers(record)
        _close_books(record)
    finally:
        with suppress(OSError):
            os.unlink(mark)
        os.close(fd)
    return True


def _recent(path: str) -> bool:
    """Whether something may still be in the making."""
    try:
        return time.time() - os.stat(path).st_mtime < _IN_THE_MAKING
    except OSError:
        return False


def _end_leftovers(record: state.AppRecord) -> None:
    """SIGTERM, some patience, SIGKILL for every process that was started for an app."""
    mark = f"XRUN_APP_ID={record.app_id}".encode()
    for number in (signal.SIGTERM, signal.SIGKILL):
        marked = processes.find_marked(mark)
        # a process without our mark is still in a session that began with one of ours
        begun = {replica.pid for replica in record.replicas.values() if replica.pid > 1}
        sessions = (begun & {processes.session_of(pid) for pid in marked}) | {
            replica.pid
            for replica in record.replicas.values()
            if replica.pid_start and processes.start_time(replica.pid) == replica.pid_start
        }
        left = {*marked, *processes.in_sessions(sessions), *(d for s in sessions for d in processes.descendants(s))}
        handles = [h for h in map(_open_process, left) if h is not None]
        for handle in handles:
            with suppress(OSError):
                signal.pidfd_send_signal(handle, number)
        _wait_gone(handles)


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _wait_gone(handles: list[int]) -> None:
    """Waits until processes are gone, but not long; closes their handles."""
    end = time.monotonic() + _MERCY
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(max(0.0, end - time.monotonic()) * 1000)
        os.close(handle)


def _close_books(record: state.AppRecord) -> None:
    """Writes the verdict that the supervisor could not."""
    path = os.path.join(state.folder_of(record.app_id), state.RECORD)
    try:
        with open(path, "rb") as file:
            written = file.read().split(b"\0", 1)[0]
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = written.rfind(b"\n") + 1
        os.pwrite(fd, bytes(len(written) - end), end)  # a line that was cut short
        writer = state.RecordWriter(fd, at=end)
        writer.write("state", state="FAILED", reason=death_reason(record), final=True)
        writer.close()
    except OSError:
        pass  # readers come to the same verdict without it


def death_reason(record: state.AppRecord) -> str:
    """Why an app without a supervisor and without a verdict failed."""
    its, mine = record.head.get("host", {}), state.host_identity()
    if its and its.get("boot") != mine["boot"]:
        return "exit code unknown: the machine was rebooted"
    return "exit code unknown: supervisor killed"


def _lock(path: str) -> int | None:
    """The lock of a dead supervisor, or None if it can't be had."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd
