"""``-s memory``: the contract, in terms of threads and objects of this process."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xrun.errors import BackendError, describe_os_error
from xrun.schedulers import gang, machine, secrets
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.logs import LogChunk, LogQuery, tail_of
from xrun.schedulers.memory import request
from xrun.schedulers.memory.app import App
from xrun.schedulers.memory.request import MemoryOptions, MemoryRequest
from xrun.schedulers.user import user_name
from xrun.specs.app import AppDef, clone
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.problems import Problem
from xrun.specs.states import is_terminal

_CAPABILITIES = gang.CAPABILITIES._replace(durable=False)


def create_scheduler(session: str = DEFAULT_SESSION, **_: Any) -> MemoryScheduler:
    """Makes an in-memory scheduler, which knows only its own jobs.

    Args:
        session: the profile.
    """
    return MemoryScheduler(session)


class MemoryScheduler(Scheduler[MemoryRequest]):
    """Jobs that are children of this process; nobody else finds them, and `close` ends them.

    Args:
        session: the profile.
    """

    name = "memory"
    attaches = True
    options_type = MemoryOptions

    def __init__(self, session: str = DEFAULT_SESSION) -> None:
        super().__init__(session)
        self._changed = threading.Condition()
        self._apps: dict[str, tuple[App, AppDryRunInfo[MemoryRequest]]] = {}
        atexit.register(self.close)

    def capabilities(self, options: Any) -> Capabilities:
        """What a gang can do, for this process only."""
        return _CAPABILITIES

    def build_request(self, app: AppDef, options: MemoryOptions, app_id: str) -> MemoryRequest:
        """The job and its options as they are."""
        return MemoryRequest(app_id, self.handle_of(app_id), app, options)

    def render(self, request_: MemoryRequest) -> str:
        """The job as YAML."""
        return request.render(request_)

    def submit_request(self, info: AppDryRunInfo[MemoryRequest]) -> bool:
        """Starts a thread that runs the job; False if there is one of that id.

        Raises:
            InvalidValue: a secret can't be had.
            BackendError: no folder or descriptor is left.
        """
        around = gang.Surroundings(
            env=gang.inherited(info.request.options),
            secrets=[secrets.resolve(role.secrets, os.environb) for role in info.app.roles],
            workdir=os.getcwd(),
        )
        with self._changed:
            if info.app_id in self._apps:
                return False
            try:
                app = App(info.request, around, self._changed)
            except OSError as error:
                raise BackendError(describe_os_error(error, "make what the job needs"), code="XR106") from error
            self._apps[info.app_id] = app, info
        app.start()
        return True

    def check_request(self, info: AppDryRunInfo[MemoryRequest]) -> list[Problem]:
        """Whether the scripts, programs and secrets are there, now."""
        app, workdir = info.app, os.getcwd()
        found = machine.missing_files(app, workdir)
        found += machine.missing_programs(app, info.app_id, workdir, gang.inherited(info.request.options))
        return found + machine.missing_secrets(app, os.environb)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From the objects."""
        with self._changed:
            found = {app_id: self._apps[app_id] for app_id in app_ids if app_id in self._apps}
        return {app_id: _description(app, info) for app_id, (app, info) in found.items()}

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Every app of this object."""
        with self._changed:
            app_ids = list(self._apps)
        for app_id, there in self.describe_many(app_ids).items():
            name = there.app.name if there.app else app_id
            yield ListedApp(app_id, name, there.status.state, there.user, there.submitted, there.status.ended)

    def cancel_existing(self, app_id: str) -> None:
        """Tells the thread."""
        self._apps[app_id][0].cancel()

    def delete_existing(self, app_id: str) -> bool:
        """Forgets an app."""
        with self._changed:
            app, _ = self._apps.pop(app_id, (None, None))
        if app is not None:
            app.join()
        return app is not None

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the app's list of chunks."""
        chunks = self._apps[app_id][0].read(query)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the apps' threads; nothing is polled."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            found = self.describe_many(app_ids)
        while True:
            yield found
            with self._changed:
                while (fresh := self.describe_many(app_ids)) == found:
                    left = None if end is None else end - time.monotonic()
                    if (left is not None and left <= 0) or not _any_runs(found):
                        return
                    self._changed.wait(left)
                found = fresh

    def close(self) -> None:
        """Cancels what still runs and waits for it."""
        atexit.unregister(self.close)
        with self._changed:
            apps = [app for app, _ in self._apps.values()]
        for app in apps:
            app.cancel()
        for app in apps:
            app.join()


def _description(app: App, info: AppDryRunInfo[MemoryRequest]) -> AppDescription:
    status = app.describe()
    return AppDescription(
        info.app_id,
        status,
        clone(info.app),
        request_id=info.request_id,
        spec_hash=info.spec_hash,
        user=user_name(),
        submitted=status.submitted,
        options=vars(info.options),
    )


def _any_runs(found: Mapping[str, AppDescription]) -> bool:
    return any(not is_terminal(there.status.state) for there in found.values())
