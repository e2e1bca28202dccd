"""One SQLite file that many processes share, any of which may be killed, and that anybody may delete or damage.

It is made under another name and linked into place, so whoever sees it sees it whole. A damaged one is set aside and a
new one begun. WAL needs memory that all who have the file open share, so it is used on a file system of this machine
alone; elsewhere there is a rollback journal.

Within a process one lock guards every connection. SQLite keeps books on a process's file locks, which a fork would
inherit and the kernel not, so connections are closed before one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from xrun.errors import XrunError, describe_os_error
from xrun.runner import filesystems

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

BUSY = 3.0
"""Seconds to wait for another process that writes."""

_LOCK_WAIT = 3.0  # seconds to wait for another process that makes the file or sets it aside
# pages of the WAL after which a commit moves them into the file: a short process leaves what it wrote to the next one,
# which has to read it before anything else; a long one closes the file, which moves them too
_CHECKPOINT_SHORT, _CHECKPOINT_LONG = 400, 2000
_UNQUOTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_COMPANIONS = ("-wal", "-shm", "-journal")
_CORRUPT, _NOT_A_DATABASE, _NO_SUCH_TABLE = 11, 26, 1  # https://www.sqlite.org/rescode.html


class DatabaseError(XrunError):
    """The file can't be read or written."""

    exit_code = 4
    code = "XR086"


class Database:
    """The file, opened on first use and again whenever another has taken its place. May be used from several threads.

    Args:
        path: tells where it is now; asked each time.
        schema: statements that make its tables.
        version: of the schema.
        tell: called with a line for the user when something happened that he should know.
        kept: leave the connection to the end of the process, which closes it faster than SQLite.
    """

    def __init__(
        self, path: Callable[[], str], schema: Sequence[str], version: int, tell: Callable[[str], None], *, kept: bool
    ) -> None:
        self._path, self._schema, self._version, self._tell, self._kept = path, schema, version, tell, kept
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[str, int, int] | None = None
        _everywhere.add(self)

    def use(self, work: Callable[[sqlite3.Connection], T], *, create: bool) -> T | None:
        """Does something with the open file.

        Args:
            work: what; it is done again if the file turns out to be damaged.
            create: make the file if there is none.

        Returns:
            What ``work`` did; None if there is no file.

        Raises:
            DatabaseError: it can't be done.
        """
        path = self._path()
        if not create and not os.path.exists(path):
            return None
        import sqlite3

        damaged = False
        with _lock:
            while True:
                try:
                    if damaged:
                        self._set_aside(path)
                    connection = self._current(path, create)
                    return None if connection is None else work(connection)
                except (sqlite3.Error, _Damaged) as error:
                    if damaged or not _is_damage(error):
                        raise DatabaseError(f"{path}: {error}") from error
                    damaged = True
                except OSError as error:
                    raise DatabaseError(describe_os_error(error, "keep the history in")) from error

    def close(self) -> None:
        """Closes the file, unless the end of the process is to do that."""
        if not self._kept:
            self.disconnect()

    def disconnect(self) -> None:
        """Closes the file."""
        with _lock:
            connection, self._connection, self._identity = self._connection, None, None
            if connection is not None:
                connection.close()

    # --- the file --------------------------------------------------------------------------------------------------

    def _current(self, path: str, create: bool) -> sqlite3.Connection | None:
        """The connection to the file that has this path now."""
        identity = _identity(path)
        if identity is None:
            self.disconnect()
            if not create:
                return None
            self._create(path)
            identity = _identity(path)
        if self._connection is None or identity != self._identity:
            self.disconnect()
            self._identity = identity  # also that of a file that can't be opened: it may have to be set aside
            self._connection = self._open(path) if os.access(path, os.W_OK) else _connect(path, "immutable=1")
        return self._connection

    def _open(self, path: str) -> sqlite3.Connection:
        connection = _connect(path)
        try:
            if not filesystems.is_local(os.path.dirname(path)):
                _leave_wal(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > self._version:
                raise DatabaseError(f"{path} is of a newer xrun; this one leaves it alone")  # noqa: TRY301 - one exit
            if version < self._version:
                self._lay_out(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_SHORT if self._kept else _CHECKPOINT_LONG}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _lay_out(self, connection: sqlite3.Connection) -> None:
        """Makes the tables in an empty file."""
        import sqlite3

        with transaction(connection):
            if connection.execute("PRAGMA user_version").fetchone()[0] == self._version:
                return  # another process was faster
            for statement in self._schema:
                try:
                    connection.execute(statement)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode == _NO_SUCH_TABLE:  # SQLite's code for any wrong statement
                        raise _Damaged(f"it holds something else: {error}") from error
                    raise
            connection.execute(f"PRAGMA user_version={self._version}")

    def _create(self, path: str) -> None:
        """Makes the file, complete, unless another process does."""
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with _locked(path):
            if os.path.exists(path):
                return
            _clear(path)
            new = f"{path}.{os.getpid()}.new"
            try:
                os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
                connection = _connect(new)
                try:
                    connection.execute("PRAGMA synchronous=OFF")  # nobody can see it yet
                    self._lay_out(connection)
                    if filesystems.is_local(os.path.dirname(path)):
                        connection.execute("PRAGMA journal_mode=WAL")
                finally:
                    connection.close()
                _link(new, path)
            finally:
                _unlink(new, *(new + companion for companion in _COMPANIONS))

    def _set_aside(self, path: str) -> None:
        """Gives a damaged file another name, unless another process has done so."""
        damaged = self._identity
        self.disconnect()
        with _locked(path):
            if damaged is None or _identity(path) != damaged:
                return
            aside = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
            for companion in (*_COMPANIONS, ""):  # the file last: nobody may begin a new one beside its journal
                try:
                    os.rename(path + companion, aside + companion)
                except FileNotFoundError:
                    pass
        self._tell(f"{path} was damaged; it is now {aside}, and a new one is begun")


class _Damaged(Exception):
    """What stands in the file isn't ours."""


_lock = threading.RLock()
_everywhere: weakref.WeakSet[Database] = weakref.WeakSet()


def _before_fork() -> None:
    _lock.acquire()
    for database in list(_everywhere):
        database.disconnect()


os.register_at_fork(before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(path: str, how: str = "mode=rw") -> sqlite3.Connection:
    """A connection; by default to write, without making a file that was deleted meanwhile.

    An immutable one is to read where nobody can write, as on a read-only file system: what is still in the WAL is left
    out, since reading that needs a file beside it.
    """
    import sqlite3

    quoted = "".join(chr(b) if chr(b) in _UNQUOTED else f"%{b:02x}" for b in os.fsencode(path))
    return sqlite3.connect(
        f"file:{quoted}?{how}", timeout=BUSY, uri=True, isolation_level=None, check_same_thread=False
    )


def _leave_wal(connection: sqlite3.Connection) -> None:
    """Takes a file that was made on a file system of one machine out of its WAL, which works nowhere else."""
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # in which the WAL needs no shared memory
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA locking_mode=NORMAL")
    connection.execute("PRAGMA user_version")  # the lock is let go at the next access


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, _Damaged) or code & 0xFF in (_CORRUPT, _NOT_A_DATABASE)


def _identity(path: str) -> tuple[str, int, int] | None:
    """What tells a file from another of the same name; None if there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return path, found.st_dev, found.st_ino


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """One process at a time; on a file system without locks as many as there are.

    Raises:
        OSError: the lock can't be had.
    """
    fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.002)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    raise
                break
        yield
    finally:
        os.close(fd)


def _clear(path: str) -> None:
    """Removes what is left of a file that was deleted, and of makers that were killed."""
    folder, name = os.path.split(path)
    left = [n for n in os.listdir(folder) if n.startswith(f"{name}.") and ".new" in n]
    _unlink(*(path + companion for companion in _COMPANIONS), *(os.path.join(folder, n) for n in left))


def _link(new: str, path: str) -> None:
    try:
        os.link(new, path)
    except FileExistsError:
        pass  # without locks another process may have been faster
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        os.rename(new, path)  # no hard links here


def _unlink(*paths: str) -> None:
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass
