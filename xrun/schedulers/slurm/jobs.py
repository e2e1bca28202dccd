"""Jobs of a cluster: what their folders say first, what Slurm says of those that have not ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from xrun.errors import BackendError
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter
from xrun.schedulers.logs import LogChunk, LogQuery, tail_of
from xrun.schedulers.patience import Patience
from xrun.schedulers.slurm import jobroot, logs
from xrun.schedulers.slurm.client import Cluster, Row
from xrun.schedulers.slurm.describe import Answer, app_of, seconds
from xrun.schedulers.slurm.jobroot import CANCELLED, ENDED, RECORD, JobFolder
from xrun.schedulers.slurm.record import Record, parse
from xrun.schedulers.slurm.states import state_of
from xrun.specs.states import AppState, is_terminal

_LOOK = 0.2
_DEAF = 15.0  # seconds after its grace period after which a job that was told to stop doesn't hear
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_MARGIN = 86400.0
_OUTAGE = 1800.0  # seconds without an answer that a wait or a log outlasts, once there was one


class Jobs:
    """The jobs below a job root.

    Args:
        cluster: whom to ask.
        root: the job root.
    """

    def __init__(self, cluster: Cluster, root: str) -> None:
        self._cluster, self._root = cluster, root

    def describe_many(self, app_ids: Sequence[str]) -> dict[str, AppDescription]:
        """Some apps, by id or by the number of the job: at most one squeue and one sacct, if any has not ended."""
        return {app_id: answer.description() for app_id, answer in self._answers(app_ids).items()}

    def begun(self, app_id: str) -> AppDescription | None:
        """An app that has begun, as far as its folder tells, for when Slurm is away; None without one."""
        folder = self._folder(app_id)
        head, record = folder.head(), _record(folder)
        return Answer(folder, head, record, None).description() if head and record.job_id else None

    def watch(self, app_ids: Sequence[str], timeout: float | None) -> Iterator[Mapping[str, AppDescription]]:
        """Some apps again and again: files are looked at often, Slurm is asked ever more rarely."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        patience = Patience(_OUTAGE)
        found: Mapping[str, AppDescription] = {}
        seen = {app_id: self._folder(app_id).stamp(RECORD) for app_id in app_ids}
        while True:
            found = patience.ask(lambda: self.describe_many(app_ids)) or found
            asked = time.monotonic()
            until = asked + pause if end is None else min(asked + pause, end)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            yield found
            while running := [a for a, there in found.items() if not is_terminal(there.status.state)]:
                changed = self._changed(running, seen, until)
                if not changed:
                    break
                # what a job's own file says of its end needs nobody else; anything else makes Slurm's answer old
                ended = [a for a in changed if _record(self._folder(a)).verdict]
                if ended:
                    found = {**found, **self.describe_many(ended)}
                    yield found
                if len(ended) < len(changed):
                    until, pause = min(until, asked + _FIRST_PAUSE), _FIRST_PAUSE
            if not running or (end is not None and time.monotonic() >= end):
                return

    def listed(self, wanted: ListFilter) -> Iterator[ListedApp]:
        """Every app of the job root."""
        for app_id, answer in self._answers(jobroot.app_ids(self._root)).items():
            there = answer.description()
            name = there.app.name if there.app else app_id
            yield ListedApp(
                app_id, name, there.status.state, there.user, there.submitted, there.status.ended, there.handle
            )

    def cancel(self, app_id: str) -> None:
        """Tells the job's script, or takes the job out of the queue."""
        folder = self._folder(app_id)
        job_id = folder.job_id()
        folder.write(CANCELLED, b"")
        if not job_id:
            return
        if any(row.state == "SUSPENDED" for row in self._cluster.named(job_id)):
            self._cluster.kill(job_id)  # it can't hear anything
            return
        self._cluster.cancel(job_id, waiting=True)
        self._cluster.cancel(job_id, waiting=False)

    def see_end(self, app_id: str) -> None:
        """Waits for the end of an app that was told to stop; one that can't hear that, Slurm ends in its own way."""
        folder = self._folder(app_id)
        grace = seconds(folder.head() or {}, "grace_period")
        for limit in (grace + _DEAF, None):
            for found in self.watch([app_id], limit):
                if app_id not in found or is_terminal(found[app_id].status.state):
                    return
            self._cluster.kill(folder.job_id())

    def delete(self, app_id: str) -> bool:
        """Removes a job's folder."""
        return self._folder(app_id).remove()

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What an app's replicas wrote."""
        folder = self._folder(app_id)
        app = app_of(folder.head() or {})
        roles = [(role.name, role.num_replicas) for role in app.roles] if app else folder.wrote()
        chunks = logs.read(folder.path, roles, query, self._ended(app_id) if query.follow else lambda: False)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def _folder(self, app_id: str) -> JobFolder:
        if app_id.isdigit():
            app_id = jobroot.app_of_job(self._root, app_id) or app_id
        return JobFolder(self._root, app_id)

    def _answers(self, app_ids: Iterable[str]) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        open_: dict[str, JobFolder] = {}
        for app_id in app_ids:
            folder = self._folder(app_id)
            head = folder.head()
            if head is None:
                continue
            answer = Answer(folder, head, _record(folder), None)
            found[app_id] = answer
            if not answer.is_final:
                open_[app_id] = folder
        if open_:
            since = min(found[a].submitted for a in open_) - _MARGIN
            rows = self._rows([folder.app_id for folder in open_.values()], since)
            for app_id, folder in open_.items():
                found[app_id] = self._with_row(folder, found[app_id], rows.get(folder.app_id))
        return found

    def _with_row(self, folder: JobFolder, before: Answer, row: Row | None) -> Answer:
        record = _record(folder)  # again: it may have ended since
        answer = Answer(folder, before.head, record, row)
        if is_terminal(answer.state) and not answer.is_final and row is not None:
            # without accounting nobody will know it any more
            known = {"state": answer.state.name, "reason": answer.reason, "ended": answer.ended}
            with suppress(BackendError):  # who can't write has this answer all the same
                folder.write(ENDED, json.dumps(known).encode())
            folder.forget_secrets()
        return answer

    def _rows(self, names: Sequence[str], since: float) -> dict[str, Row]:
        rows = _latest(self._cluster.queue(names))
        missing = [name for name in names if name not in rows]
        if missing:
            # what waits is in the queue; sacct goes on saying so of what was cancelled there
            ended = [r for r in self._cluster.accounting(missing, since) if state_of(r.state) is not AppState.PENDING]
            rows.update(_latest(ended))
        return rows

    def _changed(self, app_ids: Sequence[str], seen: dict[str, tuple[int, int]], until: float) -> list[str]:
        """Waits for apps of which something is noted that was not seen before; none if nothing is by that time."""
        folders = {app_id: self._folder(app_id) for app_id in app_ids}
        while True:
            now = {app_id: folder.stamp(RECORD) for app_id, folder in folders.items()}
            changed = [app_id for app_id in app_ids if now[app_id] != seen.get(app_id, now[app_id])]
            seen.update(now)
            left = until - time.monotonic()
            if changed or left <= 0:
                return changed
            time.sleep(min(_LOOK, left))

    def _ended(self, app_id: str) -> Callable[[], bool]:
        """A function that says whether an app has ended: it looks at the folder, and asks Slurm ever more rarely."""
        folder = self._folder(app_id)
        state = {"next": 0.0, "pause": _FIRST_PAUSE}
        patience = Patience(_OUTAGE, known=True)

        def ended() -> bool:
            if not folder.read(RECORD) and folder.head() is None:
                return True
            if _record(folder).verdict:
                return True
            if time.monotonic() < state["next"]:
                return False
            found = patience.ask(lambda: self._answers([app_id]))
            state["next"] = time.monotonic() + state["pause"]
            state["pause"] = min(state["pause"] * 1.5, _LONGEST_PAUSE)
            return found is not None and (app_id not in found or is_terminal(found[app_id].state))

        return ended


def _record(folder: JobFolder) -> Record:
    return parse(folder.read(RECORD) or "")


def _latest(rows: Iterable[Row]) -> dict[str, Row]:
    """Name -> its latest job; of a heterogeneous one the component whose state says most."""
    found: dict[str, Row] = {}
    for row in rows:
        there = found.get(row.name)
        if (
            there is None
            or int(row.job_id) > int(there.job_id)
            or (row.job_id == there.job_id and row.component < there.component)
        ):
            found[row.name] = row
    return found
