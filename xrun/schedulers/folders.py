"""Apps as folders: what was submitted, where it is and what it wrote, for any process that sees the files.

For backends whose system takes a command and keeps little else: a queue, a batch system, another machine with the same
file system. The backend hands over the command that `Folders.new` gives, which runs the app (`supervise`), and asks its
folders for the rest.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xrun.errors import BackendError, describe_os_error
from xrun.schedulers import machine, outcome, secrets
from xrun.schedulers.descriptions import AppDescription, ListedApp
from xrun.schedulers.gang import pending
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream, tail_of
from xrun.schedulers.user import user_name
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.serialize import from_dict, from_plain, to_dict, to_plain
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import AppStatus

HEAD, STATUS, OUTPUT, SECRETS, LOG = "app.json", "status.json", "output", "secrets", "supervisor.log"
"""Files of an app: the job; where it is, once it has begun; what it wrote; secrets until then; its supervisor's log."""

SUBMITTING, SUPERVISED = "submitting", "supervised"
"""Files that are locked for as long as somebody hands the app over, and runs it."""

CANCELLED = "cancelled"
"""A file that is there once somebody has asked for the app's end."""

_POLL = 0.05


class Folders:
    """The apps of one scheduler.

    Args:
        root: where their folders are.
        alive: asks the system for the ids of apps that wait or run there; without it, an app is alive only while it is
            being handed over or run.
    """

    def __init__(self, root: str | Path, alive: Callable[[], Container[str]] = tuple) -> None:
        self._root, self._alive = Path(root), alive

    @contextmanager
    def new(self, info: AppDryRunInfo[Any], handle: str) -> Iterator[list[str] | None]:
        """Makes an app's folder, exactly once, and gives the command that runs the app, for the system to be handed.

        Meanwhile the app is pending; an error in the ``with`` block removes it again.

        Args:
            info: what is submitted.
            handle: its handle.

        Yields:
            The command's words; None if the app is there already.

        Raises:
            InvalidValue: a secret can't be had.
            BackendError: no folder can be made.
        """
        values = [secrets.resolve(role.secrets, os.environb) for role in info.app.roles]
        folder = self._root / info.app_id
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix=".", dir=self._root))
            lock = take_lock(made / SUBMITTING)
        except OSError as error:
            raise BackendError(describe_os_error(error, "make the job's folder"), code="XR095") from error
        try:
            is_new = _fill(made, folder, info, handle, values)
            try:
                yield command(folder) if is_new else None
            except BaseException:
                if is_new:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
        finally:
            os.close(lock)

    def describe_many(self, app_ids: Iterable[str]) -> dict[str, AppDescription]:
        """What is known of some apps."""
        found: dict[str, AppDescription] = {}
        unsure = []
        for app_id in app_ids:
            held = self._is_held(app_id)  # before the reading: who is gone by now has written its last word
            there = self._read(app_id)
            if there is not None:
                found[app_id] = there
                if not held and not is_terminal(there.status.state):
                    unsure.append(app_id)
        alive = self._alive() if unsure else ()
        for app_id in unsure:
            if app_id not in alive:
                again = self._read(app_id)
                if again is None:
                    del found[app_id]
                else:
                    found[app_id] = again if is_terminal(again.status.state) else self._lost(again)
        return found

    def rows(self) -> Iterator[ListedApp]:
        """Every app."""
        names = [path.name for path in self._root.iterdir()] if self._root.exists() else []
        for app_id, there in self.describe_many(n for n in names if not n.startswith(".")).items():
            name = there.app.name if there.app else app_id
            status = there.status
            yield ListedApp(app_id, name, status.state, there.user, there.submitted, status.ended, there.handle)

    def cancel(self, app_id: str) -> None:
        """Asks for an app's end: its supervisor gets SIGTERM if it runs here; if not yet, it will end at once.

        A backend does the rest in its system's way: takes the job out of a queue, ends it on another machine.
        """
        folder = self._root / app_id
        (folder / CANCELLED).touch()
        (folder / SECRETS).unlink(missing_ok=True)
        host, _, pid = _read_text(folder / SUPERVISED).partition(" ")
        if pid and host == os.uname().nodename and is_locked(folder / SUPERVISED):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)

    def remove(self, app_id: str) -> bool:
        """Removes an app's folder; False if there is none."""
        there = (self._root / app_id).exists()
        shutil.rmtree(self._root / app_id, ignore_errors=True)
        return there

    def logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What an app wrote, in order of arrival."""
        chunks = self._output(app_id, query)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def _output(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        told = not query.follow
        with (self._root / app_id / OUTPUT).open("rb") as file:
            while True:
                ended = not query.follow or self._has_ended(app_id)  # before the reading: nothing comes later
                while (chunk := read_chunk(file)) is not None:
                    if query.takes(chunk):
                        yield chunk
                if ended:
                    return
                if not told:
                    yield CAUGHT_UP
                    told = True
                time.sleep(_POLL)

    def _has_ended(self, app_id: str) -> bool:
        there = self.describe_many([app_id]).get(app_id)
        return there is None or is_terminal(there.status.state)

    def _is_held(self, app_id: str) -> bool:
        return any(is_locked(self._root / app_id / name) for name in (SUBMITTING, SUPERVISED))

    def _read(self, app_id: str) -> AppDescription | None:
        folder = self._root / app_id
        try:
            head = json.loads((folder / HEAD).read_bytes())
        except FileNotFoundError:
            return None
        app = from_dict(head.pop("app"))
        status = _read_text(folder / STATUS)
        return AppDescription(
            app_id=app_id,
            status=_status_of(status) if status else pending(app.roles, head["submitted"]),
            app=app,
            **{key: head[key] for key in ("request_id", "spec_hash", "user", "submitted", "handle", "options")},
        )

    def _lost(self, there: AppDescription) -> AppDescription:
        """An app that nobody looks after any more, and that has no end."""
        folder, status = self._root / there.app_id, there.status
        if (folder / CANCELLED).exists():
            status.state, status.msg, latest = AppState.CANCELLED, "cancelled", folder / CANCELLED
        else:
            begun = status.state is not AppState.PENDING
            why = outcome.last_line(_read_text(folder / LOG).encode())
            status.state, latest = AppState.FAILED, folder / (STATUS if begun else HEAD)
            status.msg = "exit code unknown: supervisor killed" if begun else "lost before it began"
            status.msg += f": {why}" if why else ""
        status.ended = latest.stat().st_mtime
        for replica in (k for role in status.roles for k in role.replicas if not is_terminal(k.state)):
            replica.state, replica.ended = status.state, status.ended
        return there


def command(folder: Path) -> list[str]:
    """What runs the app of a folder."""
    return [sys.executable, "-P", "-m", "xrun.schedulers.supervise", str(folder.absolute())]


def _fill(made: Path, folder: Path, info: AppDryRunInfo[Any], handle: str, values: list[dict[str, bytes]]) -> bool:
    """Writes all that is known beforehand and shows it under its name; False if that is taken."""
    head = {
        "app": to_dict(info.app),
        "handle": handle,
        "request_id": info.request_id,
        "spec_hash": info.spec_hash,
        "user": user_name(),
        "submitted": time.time(),
        "options": to_plain(info.cfg),
        "workdir": machine.current_folder(),
    }
    try:
        (made / HEAD).write_text(json.dumps(head))
        (made / OUTPUT).touch()
        if any(values):
            write_secrets(made, values)
        made.rename(folder)
    except OSError as error:
        shutil.rmtree(made, ignore_errors=True)
        if folder.exists():
            return False
        raise BackendError(describe_os_error(error, "make the job's folder"), code="XR095") from error
    return True


def write_secrets(folder: Path, values: list[dict[str, bytes]]) -> None:
    """Keeps secrets, readable for nobody else, until `take_secrets`."""
    texts = [{name: value.decode("utf-8", "surrogateescape") for name, value in one.items()} for one in values]
    with open(os.open(folder / SECRETS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(texts, file)


def take_secrets(folder: Path, count: int) -> list[Mapping[str, bytes]]:
    """The secrets of each of ``count`` roles; they are gone afterwards."""
    text = _read_text(folder / SECRETS)
    (folder / SECRETS).unlink(missing_ok=True)
    if not text:
        return [{}] * count
    return [{k: v.encode("utf-8", "surrogateescape") for k, v in one.items()} for one in json.loads(text)]


def chunk_bytes(chunk: LogChunk) -> bytes:
    """A chunk as it stands in the file of the output."""
    head = f"{chunk.time!r} {chunk.role} {chunk.replica} {chunk.stream} {len(chunk.data)}\n"
    return head.encode() + chunk.data


def read_chunk(file: Any) -> LogChunk | None:
    """The next chunk of an output file; None, and back to where it was, if it isn't all there yet."""
    begin = file.tell()
    head = file.readline()
    if head.endswith(b"\n"):
        when, role, replica, stream, size = head.decode().split()
        data = file.read(int(size))
        if len(data) == int(size):
            return LogChunk(role, int(replica), Stream(stream), float(when), data)
    file.seek(begin)
    return None


def take_lock(path: Path) -> int:
    """A lock that is held until the descriptor is closed, here and in children that inherit it."""
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def is_locked(path: Path) -> bool:
    """Whether somebody holds that lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _status_of(text: str) -> AppStatus:
    return from_plain(AppStatus, json.loads(text), STATUS)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
