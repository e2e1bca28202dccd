"""What a Runner writes into the history. Nothing that goes wrong there stops a job."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from xrun import __version__
from xrun.errors import InvalidValue
from xrun.schedulers.user import user_name
from xrun.specs.dryrun import AppDryRunInfo, Origin
from xrun.specs.handle import parse_app_handle
from xrun.specs.serialize import to_dict, to_plain
from xrun.specs.states import AppState, is_terminal
from xrun.specs.workspace import Workspace

if TYPE_CHECKING:
    from xrun.runner.gitinfo import GitInfo, GitQuery
    from xrun.runner.history import History, Submission
    from xrun.schedulers.api import AppDescription, Scheduler

_PAUSE = 30.0  # seconds without a try after one that failed: it may have waited, and jobs come by the hundred
_STALE = 60.0  # seconds after which git is asked again


class Recorder:
    """Records submissions and verdicts. May be used from several threads.

    Args:
        notices: gets a line when something can't be recorded, once.
        own_process: whether this process is a command of ours, which ends soon.
    """

    def __init__(self, notices: list[str], *, own_process: bool) -> None:
        self._notices = notices
        self._own_process = own_process
        self._store: History | None = None
        self._told = False
        self._next_try = 0.0
        self._ended: set[str] = set()
        self._git: tuple[str, float, GitQuery] | None = None
        self._without_git: deque[tuple[GitQuery, str]] = deque()

    @property
    def history(self) -> History:
        """Where it is all kept."""
        if self._store is None:
            from xrun.runner.history import History

            self._store = History(self._notices.append, kept=self._own_process)
        return self._store

    def begin(self) -> None:
        """Asks git, so that the answer is there when the job has been submitted."""
        from xrun.runner.gitinfo import GitQuery

        folder, now = _folder(), time.monotonic()
        if self._git is None or self._git[0] != folder or now - self._git[1] > _STALE:
            self._git = folder, now, GitQuery()

    def submitted(self, info: AppDryRunInfo[Any], handle: str) -> None:
        """Keeps a submission."""
        from xrun.runner.gitinfo import GitInfo, GitQuery

        query = self._git[2] if self._git else GitQuery()

        def work(history: History) -> None:
            git = query.answer(0)
            history.record(submission(info, handle, git or GitInfo()), new=info.is_new)
            if git is None:
                self._without_git.append((query, handle))
            elif self._without_git:
                self._add_git(0)

        self._try(work)

    def ended(self, scheduler: Scheduler[Any], found: Iterable[AppDescription]) -> None:
        """Keeps the verdicts among what a system said."""
        # a job may have been found by another handle than that under which it was submitted
        ends = {a.handle or scheduler.handle_of(a.app_id): a.status for a in found if is_terminal(a.status.state)}
        new = {handle: status for handle, status in ends.items() if handle not in self._ended}
        if not new:
            return
        self._ended.update(new)

        def work(history: History) -> None:
            from xrun.runner.history import Seen

            history.seen([Seen(handle, s.state.name, s.ended, s.msg) for handle, s in new.items()])
            self._add_git(0)

        self._try(work)

    def removed(self, handle: str) -> bool:
        """Forgets a job; False if it wasn't known."""
        found: list[bool] = []
        self._try(lambda history: found.append(history.remove(handle)))
        return any(found)

    def close(self) -> None:
        """Waits a little for git if it has not answered yet, and lets go of the file."""
        if self._without_git:
            from xrun.runner.gitinfo import PATIENCE

            self._try(lambda _: self._add_git(PATIENCE))
        if self._store is not None:
            self._store.close()

    def _add_git(self, timeout: float) -> None:
        answered: dict[GitInfo, list[str]] = {}
        left = []
        while self._without_git:
            try:
                query, handle = self._without_git.popleft()
            except IndexError:
                break  # another thread was faster
            answer = query.answer(timeout)
            if answer is None:
                left.append((query, handle))
                if not timeout:
                    break
            elif answer.commit:
                answered.setdefault(answer, []).append(handle)
        self._without_git.extendleft(reversed(left))
        for answer, handles in answered.items():
            self.history.add_git(handles, *answer)

    def _try(self, work: Callable[[History], object]) -> None:
        if time.monotonic() < self._next_try:
            return
        try:
            work(self.history)
        except Exception as error:  # noqa: BLE001 - the job is submitted, whatever becomes of the history
            self._next_try = time.monotonic() + _PAUSE
            if not self._told:
                self._told = True
                text = " ".join(str(error).split()) or type(error).__name__
                self._notices.append(f"the history of jobs is not kept now: {text}; jobs go on")


def submission(info: AppDryRunInfo[Any], handle: str, git: GitInfo) -> Submission:
    """What is kept of a request that was sent."""
    from xrun.runner.history import Submission

    origin = info.origin
    return Submission(
        handle=handle,
        scheduler=parse_app_handle(handle).scheduler_backend,
        name=info.app.name,
        user=user_name(),
        submitted=round(time.time(), 6),
        component=origin.component,
        state=AppState.SUBMITTED.name,
        ended=0.0,
        message="",
        git_commit=git.commit,
        git_dirty=git.dirty,
        command=list(getattr(sys, "argv", ())),
        folder=_folder(),
        args=_plain_args(origin),
        cfg=to_plain(dict(origin.cfg or {})),
        workspace=str(origin.workspace) if isinstance(origin.workspace, Workspace) else origin.workspace,
        options=to_plain(dict(vars(info.options))),
        app=to_dict(info.app),
        request_id=info.request_id,
        spec_hash=info.spec_hash,
        xrun=__version__,
        python=sys.version.split()[0],
    )


def _plain_args(origin: Origin) -> list[str] | dict[str, Any] | None:
    """A component's arguments as plain data; None if what was given can't be had back from that."""
    args, workspace = origin.args, origin.workspace
    if isinstance(workspace, Workspace) and not _is_text(workspace):
        return None
    if not isinstance(args, Mapping):
        return list(args)
    plain: dict[str, Any] = to_plain(dict(args))
    return plain if all(map(_same, args.values(), plain.values())) else None


def _is_text(workspace: Workspace) -> bool:
    try:
        return Workspace.from_str(str(workspace)) == workspace
    except InvalidValue:
        return False


def _same(value: Any, plain: Any) -> bool:
    """Whether a component takes the plain value for the real one: what was a path or an Enum is read from its text."""
    if isinstance(value, Mapping):
        return isinstance(plain, dict) and all(map(_same, value.values(), plain.values()))
    if isinstance(value, (list, tuple)):
        return isinstance(plain, list) and all(map(_same, value, plain))
    return value is None or isinstance(value, (str, int, float, Enum, os.PathLike))


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it is gone
