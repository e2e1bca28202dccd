"""An app's folder: what is in it and what it says.

``record`` holds JSON lines: first what was submitted, written before the folder gets its name, then what happened,
one event a line. Its space is reserved when the app is made, so that a full disk can't lose an exit code; a line that
was cut short or damaged is passed over. The supervisor holds a lock on it: the kernel lets go of that however the
supervisor ends, so a reused pid or a reboot can't make a dead app look alive. ``live`` beside the apps holds a
second name of the record of each that has no verdict yet. Making a file is the dearest part of making an app, so there
are few.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from xrun.errors import BackendError, describe_os_error
from xrun.schedulers.home import HOME_VARIABLE, home

RECORD, JOURNAL = "record", "journal"

_RESERVE_MIN, _RESERVE_REPLICA, _RESERVE_MAX = 8192, 2048, 4 << 20
_REMEDIES = {
    errno.ENOSPC: f"free some space, or set {HOME_VARIABLE} to a folder on another disk",
    errno.EDQUOT: f"free some space, or set {HOME_VARIABLE} to a folder on another disk",
    errno.EACCES: f"set {HOME_VARIABLE} to a folder you may write to",
    errno.EROFS: f"set {HOME_VARIABLE} to a folder you may write to",
    errno.ENOTDIR: f"set {HOME_VARIABLE} to a folder",
    errno.EEXIST: f"set {HOME_VARIABLE} to a folder",
}


def root() -> str:
    """The folder of the local scheduler's apps."""
    return os.path.join(home(), "local")


def folder_of(app_id: str) -> str:
    """An app's folder."""
    return os.path.join(root(), "apps", app_id)


def address_of(app_id: str) -> bytes:
    """Where an app's supervisor listens: an abstract socket (unix(7)), which is not a file and has no length of path.

    Anybody can connect to it, so the supervisor looks at who does.
    """
    return f"\0xrun/{zlib.crc32(root().encode('utf-8', 'surrogateescape')):08x}/{app_id}".encode()


def live_folder() -> str:
    """The folder of apps without a verdict: a second name for the record of each, and apps in the making."""
    return os.path.join(root(), "live")


def state_error(error: OSError, doing: str) -> BackendError:
    """What to raise when the state can't be read or written."""
    return BackendError(describe_os_error(error, doing, _REMEDIES), code="XR102")


@cache
def host_identity() -> dict[str, str]:
    """Who we are: the host's name and id, its boot, and the pid namespace.

    Processes of another host, of an earlier boot or of another container can't be looked at from here.
    """
    return {
        "name": os.uname().nodename,
        "host": _read_text("/etc/machine-id") or os.uname().nodename,
        "boot": _read_text("/proc/sys/kernel/random/boot_id"),
        "pidns": _link("/proc/self/ns/pid"),
    }


def begin(fd: int, head: Mapping[str, Any], replicas: int) -> RecordWriter:
    """Begins a record, with room for the events of so many replicas.

    Raises:
        OSError: there is no room.
    """
    line = json.dumps(head, separators=(",", ":")).encode() + b"\n"
    os.posix_fallocate(fd, 0, len(line) + min(_RESERVE_MAX, _RESERVE_MIN + _RESERVE_REPLICA * replicas))
    os.pwrite(fd, line, 0)
    return RecordWriter(fd, at=len(line))


class RecordWriter:
    """Appends events; what can't be written now (a full disk) is kept and tried again with the next one.

    Args:
        fd: the open file; `close` closes it, and lets go of the lock on it.
        at: where to go on writing.
    """

    def __init__(self, fd: int, at: int = 0) -> None:
        self._fd = fd
        self._at = at
        self._unwritten = b""

    def write(self, kind: str, **values: Any) -> None:
        """Appends one event."""
        line = json.dumps({"e": kind, "t": round(time.time(), 6), **values}, separators=(",", ":")).encode() + b"\n"
        self._unwritten += line
        self.flush()

    def flush(self) -> bool:
        """Tries to write what is left; True if nothing is."""
        while self._unwritten:
            try:
                done = os.pwrite(self._fd, self._unwritten, self._at)
            except OSError:
                return False
            self._at += done
            self._unwritten = self._unwritten[done:]
        return True

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)


@dataclass(eq=False, repr=False)
class ReplicaRecord:
    """What the events say of one replica."""

    attempt: int = -1
    state: str = "PENDING"
    pid: int = 0
    pid_start: int = 0
    code: int | None = None
    signal: str = ""
    error: str = ""
    detail: str = ""
    started: float = 0.0
    ended: float = 0.0


@dataclass(eq=False, repr=False)
class AppRecord:
    """An app's folder, read.

    Attributes:
        app_id: its id.
        head: what was submitted; empty if it can't be read.
        supervisor: pid of its supervisor, 0 if not known.
        replicas: (role index, replica) -> what is known.
        state: ``PENDING``, ``RUNNING`` or the verdict.
        reason: why.
        restarts: restarts so far.
        failed: the replica that failed the app.
        ended: Unix time of the verdict, 0 without one.
        damaged: what can't be read, empty if all can.
    """

    app_id: str
    head: dict[str, Any] = field(default_factory=dict)
    supervisor: int = 0
    replicas: dict[tuple[int, int], ReplicaRecord] = field(default_factory=dict)
    state: str = "PENDING"
    reason: str = ""
    restarts: int = 0
    failed: tuple[int, int] | None = None
    ended: float = 0.0
    damaged: str = ""


def read(app_id: str) -> AppRecord | None:
    """Reads an app's folder; None if there is none.

    Raises:
        BackendError: the folder is there and can't be read.
    """
    folder = folder_of(app_id)
    try:
        with open(os.path.join(folder, RECORD), "rb") as file:
            lines = file.read().split(b"\0", 1)[0].split(b"\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        if not os.path.isdir(folder):
            return None
        lines = [b""]
    except OSError as error:
        raise state_error(error, "read the state of the job in") from error
    record = AppRecord(app_id)
    record.head = _read_head(lines[0], record)
    for line in filter(None, lines[1:]):
        _replay(line, record)
    return record


def is_supervised(app_id: str) -> bool:
    """Whether the app's supervisor lives (on this host)."""
    try:
        fd = os.open(os.path.join(folder_of(app_id), RECORD), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def log_name(role: str, replica: int, stream: str) -> str:
    """Name of a replica's output file in the app's folder."""
    return f"{role}.{replica}.{stream}"


def error_name(role: str, replica: int, attempt: int) -> str:
    """Name of the file in the app's folder where an attempt of a replica may leave its last error."""
    return f"{role}.{replica}.error-{attempt}.json"


def _read_head(line: bytes, record: AppRecord) -> dict[str, Any]:
    try:
        head = json.loads(line)
        if isinstance(head, dict) and isinstance(head.get("app"), dict):
            return head
    except ValueError:
        pass
    record.damaged = os.path.join(folder_of(record.app_id), RECORD)
    return {}


def _replay(line: bytes, record: AppRecord) -> None:
    try:
        event = json.loads(line)
        _apply(event, record)
    except (ValueError, KeyError, TypeError, AttributeError):
        record.damaged = record.damaged or os.path.join(folder_of(record.app_id), RECORD)


def _apply(event: Mapping[str, Any], record: AppRecord) -> None:
    kind = event["e"]
    if kind == "supervisor":
        record.supervisor = int(event["pid"])
    elif kind == "state":
        record.state, record.reason = event["state"], event.get("reason", "")
        record.restarts = event.get("restarts", record.restarts)
        if "failed" in event:
            record.failed = (event["failed"][0], event["failed"][1])
        if event.get("final"):
            record.ended = event["t"]
    elif kind == "start":
        replica = record.replicas.setdefault((event["r"], event["k"]), ReplicaRecord())
        replica.attempt, replica.pid, replica.pid_start = event["a"], event["pid"], event.get("ps", 0)
        replica.state, replica.started = "RUNNING", event["t"]
        replica.code, replica.signal, replica.error, replica.detail, replica.ended = None, "", "", "", 0.0
    elif kind == "exit":
        replica = record.replicas.setdefault((event["r"], event["k"]), ReplicaRecord())
        replica.state, replica.code, replica.signal = event["state"], event.get("code"), event.get("sig", "")
        replica.error, replica.detail = event.get("err", ""), event.get("detail", "")
        replica.attempt, replica.ended = event["a"], event["t"]


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
