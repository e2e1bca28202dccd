"""A job's folder below the job root: what is in it, made here and read here.

``app.json`` is what was submitted, ``job.sh`` the script; ``job`` is a link whose target is the job's number, made by
the script or by who submitted it, so that of two jobs for one app the second one ends at once. The script notes what
happens in ``job.log``. ``slurm.log`` is the batch step's own output. For each replica there are ``ROLE.K.out``,
``ROLE.K.err``, and ``ROLE.K.log`` with times and sizes. In ``lost`` is what a replica could not say in another way.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from xrun.errors import BackendError, describe_os_error
from xrun.schedulers import outcome
from xrun.schedulers.home import home
from xrun.specs.states import AppState

HEAD, SCRIPT, JOB, RECORD, OUTPUT = "app.json", "job.sh", "job", "job.log", "slurm.log"
CANCELLED, SECRETS, ENDED, LOCK, WORKSPACE = "cancelled", "secrets", "ended.json", "lock", "workspace"

_UNWRITABLE = "XR144"
_TAIL = 4096
_LAST = 1e11  # Unix time that no file means


def default_root() -> str:
    """Where jobs' files are unless the option job_root says otherwise."""
    return os.path.join(home(), "slurm")


class JobFolder:
    """One job's folder.

    Args:
        root: the job root.
        app_id: the app's id.
    """

    def __init__(self, root: str, app_id: str) -> None:
        self.path = os.path.join(root, app_id)
        self.app_id = app_id

    def __truediv__(self, name: str) -> str:
        return os.path.join(self.path, name)

    def make(self) -> bool:
        """Makes it; False if it is there."""
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            if not os.path.isdir(os.path.dirname(self.path)):
                raise BackendError(
                    f"can't make {self.path}: {os.path.dirname(self.path)} is no folder", code=_UNWRITABLE
                ) from None
            return False
        except OSError as error:
            raise unwritable(error) from error
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Waits until nobody else submits this app."""
        with self._lock_file() as fd:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield

    def is_locked(self) -> bool:
        """Whether somebody is submitting this app."""
        try:
            with self._lock_file() as fd:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except BackendError:
            return False
        return False

    def write(self, name: str, content: bytes, mode: int = 0o600) -> None:
        """Writes a file, so that a reader finds all of it or nothing."""
        fresh = self / f".{name}.{os.getpid()}"
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(content)
            os.rename(fresh, self / name)
        except OSError as error:
            with suppress(OSError):
                os.unlink(fresh)
            raise unwritable(error) from error

    def read(self, name: str) -> str | None:
        """A file's text; None if it isn't there."""
        try:
            with open(self / name, encoding="utf-8", errors="replace") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BackendError(describe_os_error(error, "read"), code=_UNWRITABLE) from error

    def tail(self, name: str) -> str:
        """The last line of a file that isn't empty."""
        try:
            with open(self / name, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
                return outcome.last_line(file.read())
        except OSError:
            return ""

    def wrote(self) -> list[tuple[str, int]]:
        """Roles and the number of their replicas, by what these wrote: of a script that was submitted by hand."""
        found: dict[str, int] = {}
        for name in os.listdir(self.path):
            role, k, kind = [*name.rsplit(".", 2), "", ""][:3]
            if kind == "out" and k.isdigit():
                found[role] = max(found.get(role, 0), int(k) + 1)
        return sorted(found.items())

    def head(self) -> dict[str, Any] | None:
        """What was submitted; None if there is no such app, empty if that can't be read."""
        text = self.read(HEAD)
        if text is None:
            return {} if os.path.lexists(self / JOB) or os.path.isfile(self / SCRIPT) else None
        return _loaded(text, _HEAD)

    def job_id(self) -> str:
        """The job's number; empty if it is not known."""
        try:
            return os.readlink(self / JOB)
        except OSError:
            return ""

    def set_job_id(self, job_id: str) -> None:
        """Keeps the job's number, unless the job has done so."""
        with suppress(FileExistsError):
            os.symlink(job_id, self / JOB)

    def ended(self) -> Mapping[str, Any]:
        """How it ended, as somebody saw who asked Slurm; empty if nobody did."""
        known = _loaded(self.read(ENDED) or "{}", _END)
        return known if known.keys() == _END.keys() else {}

    def is_cancelled(self) -> bool:
        """Whether somebody has asked for its end."""
        return os.path.exists(self / CANCELLED)

    def forget_secrets(self) -> None:
        """Removes what the script does at its end, if it could not."""
        with suppress(OSError):
            os.unlink(self / SECRETS)

    def stamp(self, name: str) -> tuple[int, int]:
        """What changes when a file does."""
        try:
            info = os.stat(self / name)
        except OSError:
            return (0, 0)
        return (info.st_size, info.st_mtime_ns)

    def remove(self) -> bool:
        """Removes it; False if there was nothing."""
        there = os.path.isdir(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
        return there

    @contextmanager
    def _lock_file(self) -> Iterator[int]:
        try:
            fd = os.open(self / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(error) from error
        try:
            yield fd
        finally:
            os.close(fd)


def moment(given: Any) -> float:
    """A Unix time.

    Raises:
        ValueError: it can't be one.
    """
    found = float(given)
    if not 0 <= found < _LAST:
        raise ValueError(given)
    return found


def _loaded(text: str, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """An object of JSON; without what is damaged."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    whole = {}
    for name, read in fields.items():
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            whole[name] = read(found[name])
    return whole


def _of(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError(value)
        return value

    return read


_HEAD: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("app_id", "handle", "request_id", "spec_hash", "user", "version"), _of(str)),
    **dict.fromkeys(("app", "options"), _of(dict)),
    "submitted": moment,
}
_END: dict[str, Callable[[Any], Any]] = {
    "state": lambda name: AppState[name].name,
    "reason": _of(str),
    "ended": moment,
}


def unwritable(error: OSError) -> BackendError:
    """What to raise when the job root can't be written."""
    what = describe_os_error(error, "write the job's folder")
    return BackendError(f"{what}; -cfg job_root=FOLDER in a profile names another job root", code=_UNWRITABLE)


def app_ids(root: str) -> list[str]:
    """The apps that there are."""
    try:
        return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def app_of_job(root: str, job_id: str) -> str:
    """The app whose job has this number; empty if there is none."""
    return next((app_id for app_id in app_ids(root) if JobFolder(root, app_id).job_id() == job_id), "")
