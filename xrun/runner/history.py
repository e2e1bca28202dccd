"""What was submitted from here and how it ended: a cache, which anybody may delete at any time.

The system that runs a job is asked for its state. What is here besides is what no system keeps: the command line, the
state of git, the versions; and the verdicts, so that a list of ended jobs asks nobody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any, NamedTuple

from xrun.runner.database import Database, transaction
from xrun.schedulers.home import home

if TYPE_CHECKING:
    import sqlite3

FILE = "history.db"
VERSION = 1
"""Of the tables; a file of a newer one is left alone."""

VERDICTS = ("SUCCEEDED", "FAILED", "CANCELLED")
"""Names of the states that nothing changes any more."""

# what a list shows and asks for, in an index of its own: a list of thousands reads nothing else
_LISTED = "submitted DESC, handle, name, state, user, ended, component, scheduler"
_TABLE = """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    handle TEXT NOT NULL UNIQUE,
    scheduler TEXT NOT NULL,
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    submitted REAL NOT NULL,
    component TEXT NOT NULL,
    state TEXT NOT NULL,
    ended REAL NOT NULL,
    message TEXT NOT NULL,
    git_commit TEXT,
    git_dirty INTEGER,
    detail TEXT NOT NULL
)"""
_SCHEMA = (_TABLE, f"CREATE INDEX listed ON jobs ({_LISTED})")
_COLUMNS = (
    "handle",
    "scheduler",
    "name",
    "user",
    "submitted",
    "component",
    "state",
    "ended",
    "message",
    "git_commit",
    "git_dirty",
)
_OPEN = f"state NOT IN {VERDICTS}"


class Submission(NamedTuple):
    """One submission; all but the columns of a list is plain JSON.

    Attributes:
        handle: the job.
        scheduler: its scheduler's name.
        name: the app's name.
        user: who submitted it.
        submitted: Unix time.
        component: the component it was made by; empty if none.
        state: the last one known; a verdict stays.
        ended: Unix time of the verdict, 0 without one.
        message: why it ended so.
        git_commit: HEAD of the working directory; None without git.
        git_dirty: whether tracked files differed from it.
        command: the words of the command or program that submitted it.
        folder: its working directory.
        args: the component's arguments as given, words or values; None if they are no plain data.
        cfg: the scheduler's options as given.
        workspace: as given.
        options: the scheduler's options, all of them.
        app: the AppDef.
        request_id: what the app id was made from.
        spec_hash: hash of AppDef and options.
        xrun: version of xrun.
        python: version of Python.
    """

    handle: str
    scheduler: str
    name: str
    user: str
    submitted: float
    component: str
    state: str
    ended: float
    message: str
    git_commit: str | None
    git_dirty: bool | None
    command: list[str]
    folder: str
    args: list[str] | dict[str, Any] | None
    cfg: dict[str, Any]
    workspace: str | None
    options: dict[str, Any]
    app: dict[str, Any]
    request_id: str
    spec_hash: str
    xrun: str
    python: str


class Entry(NamedTuple):
    """What a list shows of a submission; see `Submission`.

    Attributes:
        current: whether the state is true now; else it is the last one known.
    """

    handle: str
    name: str
    state: str
    user: str
    submitted: float
    ended: float
    component: str
    current: bool = True


class Query(NamedTuple):
    """Which submissions.

    Attributes:
        user: only this user's (None for everybody's).
        name: only of this app name.
        schedulers: only on these (empty for all).
        since: only those at or after this Unix time.
    """

    user: str | None = None
    name: str | None = None
    schedulers: Sequence[str] = ()
    since: float | None = None


class Seen(NamedTuple):
    """What a system said of a job."""

    handle: str
    state: str
    ended: float = 0.0
    message: str = ""


class History:
    """The file ``history.db`` in the home.

    Args:
        tell: called with a line for the user when something happened that they should know.
        kept: whether this process is a command of ours, which ends soon.
    """

    def __init__(self, tell: Callable[[str], None], *, kept: bool = False) -> None:
        self._database = Database(_path, _SCHEMA, VERSION, tell, kept=kept)

    def record(self, job: Submission, *, new: bool) -> None:
        """Keeps a submission.

        Args:
            job: it.
            new: whether it made the job; else what is known of an earlier submission stays.

        Raises:
            DatabaseError: it can't be kept.
        """
        columns = (*_COLUMNS, "detail")
        detail = json.dumps(dict(zip(_DETAIL, job[len(_COLUMNS) :], strict=True)), separators=(",", ":"))
        values = [*map(_storable, job[: len(_COLUMNS)]), detail]
        conflict = f"UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns)}" if new else "NOTHING"
        statement = (
            f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own words
            f" ON CONFLICT (handle) DO {conflict}"
        )
        self._database.use(lambda c: c.execute(statement, values) and None, create=True)

    def seen(self, said: Iterable[Seen]) -> None:
        """Keeps what systems said of some jobs; a verdict that is known stays.

        Raises:
            DatabaseError: it can't be kept.
        """
        rows = [(s.state, s.ended, _storable(s.message), s.handle) for s in said]
        statement = f"UPDATE jobs SET state = ?, ended = ?, message = ? WHERE handle = ? AND {_OPEN}"  # noqa: S608 - ours
        self._change(statement, rows)

    def add_git(self, handles: Iterable[str], commit: str | None, dirty: bool | None) -> None:
        """Adds what git said to some submissions.

        Raises:
            DatabaseError: it can't be kept.
        """
        rows = [(commit, dirty, handle) for handle in handles]
        self._change("UPDATE jobs SET git_commit = ?, git_dirty = ? WHERE handle = ?", rows)

    def remove(self, handle: str) -> bool:
        """Forgets a submission; False if there was none.

        Raises:
            DatabaseError: it can't be forgotten.
        """

        def work(connection: sqlite3.Connection) -> bool:
            return connection.execute("DELETE FROM jobs WHERE handle = ?", (handle,)).rowcount > 0

        return bool(self._database.use(work, create=False))

    def get(self, handle: str) -> Submission | None:
        """A submission; None if it isn't known.

        Raises:
            DatabaseError: the file can't be read.
        """
        statement = f"SELECT {', '.join(_COLUMNS)}, detail FROM jobs WHERE handle = ?"  # noqa: S608 - our own words
        row = self._database.use(lambda c: c.execute(statement, (handle,)).fetchone(), create=False)
        if row is None:
            return None
        *known, dirty, detail = row
        values = json.loads(detail)
        return Submission._make((*known, None if dirty is None else bool(dirty), *map(values.get, _DETAIL)))

    def recent(self, wanted: Query = Query()) -> list[Entry]:  # noqa: B008 - it can't be changed
        """Submissions, the newest first.

        Raises:
            DatabaseError: the file can't be read.
        """
        conditions: list[tuple[str, Sequence[Any]]] = []
        if wanted.user is not None:
            conditions.append(("user = ?", [wanted.user]))
        if wanted.name is not None:
            conditions.append(("name = ?", [_storable(wanted.name)]))
        if wanted.schedulers:
            conditions.append((f"scheduler IN ({', '.join('?' * len(wanted.schedulers))})", wanted.schedulers))
        if wanted.since is not None:
            conditions.append(("submitted >= ?", [wanted.since]))
        where = f"WHERE {' AND '.join(text for text, _ in conditions)} " if conditions else ""
        statement = f"SELECT {', '.join(_ROW)} FROM jobs {where}ORDER BY submitted DESC, handle"  # noqa: S608 - our own words
        values = [value for _, found in conditions for value in found]
        return self._database.use(lambda c: [*starmap(Entry, c.execute(statement, values))], create=False) or []

    def close(self) -> None:
        """Lets go of the file; it is opened again when it is needed."""
        self._database.close()

    def _change(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if len(rows) == 1:
                connection.execute(statement, rows[0])
                return
            with transaction(connection):
                connection.executemany(statement, rows)

        if rows:
            self._database.use(work, create=False)


_ROW = Entry._fields[:-1]
_DETAIL = Submission._fields[len(_COLUMNS) :]


def _path() -> str:
    return os.path.join(home(), FILE)


def _storable(value: Any) -> Any:
    """SQLite takes UTF-8 only; a name that isn't is kept readable."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
