"""The API that programs and the command line share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from xrun import schedulers
from xrun.errors import InvalidValue, JobNotFound, WaitTimeout
from xrun.runner.defaults import Defaults
from xrun.runner.recorder import Recorder
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo, Origin
from xrun.specs.handle import AppHandle, parse_app_handle
from xrun.specs.resources import Resource, add_source
from xrun.specs.states import is_terminal
from xrun.specs.status import AppStatus

if TYPE_CHECKING:
    from datetime import datetime

    from xrun.runner.history import History
    from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Scheduler
    from xrun.schedulers.logs import LogChunk, LogQuery, Stream
    from xrun.specs.problems import Problem
    from xrun.specs.workspace import Workspace

Cfg = Mapping[str, Any] | None
# Runner has a method named list, so inside it these types go by other names
Texts = list[str]
Problems = list["Problem"]
Rows = list["ListedApp"]
ComponentArgs = Iterable[str] | Mapping[str, Any]


def get_runner(
    name: str | None = None,
    component_defaults: Mapping[str, Mapping[str, Any]] | None = None,
    **scheduler_params: Any,
) -> Runner:
    """Makes a Runner.

    Args:
        name: the session that new jobs belong to, a profile of the configuration (default: as configured).
        component_defaults: component name -> arguments it gets unless the caller gives them.
        scheduler_params: passed to every scheduler's factory, which takes those it knows.
    """
    return Runner(name or None, component_defaults, scheduler_params)


class Runner:
    """Submits jobs and answers for them. May be used from several threads; a context manager.

    Args:
        name: the session that new jobs belong to, a profile of the configuration (default: as configured).
        component_defaults: component name -> arguments it gets unless the caller gives them.
        scheduler_params: passed to every scheduler's factory.

    Attributes:
        defaults: what is used where the caller says nothing.
        notices: what went wrong beside the jobs, a line each.
    """

    def __init__(
        self,
        name: str | None = None,
        component_defaults: Mapping[str, Mapping[str, Any]] | None = None,
        scheduler_params: Mapping[str, Any] | None = None,
    ) -> None:
        self.defaults = Defaults(name)
        self._component_defaults = dict(component_defaults or {})
        self._scheduler_params = dict(scheduler_params or {})
        self.notices: Texts = []
        self._recorder = Recorder(self.notices, own_process=bool(self._scheduler_params.get("own_process")))
        self._lock = threading.RLock()  # a signal handler that cancels may come while its own thread holds it
        self._schedulers: dict[tuple[str, str], Scheduler[Any]] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what schedulers hold; jobs go on."""
        for scheduler in self._schedulers.values():
            scheduler.close()
        self._schedulers.clear()
        self._recorder.close()

    # --- submitting ------------------------------------------------------------------------------------------------

    def run_component(
        self,
        component: str,
        component_args: ComponentArgs,
        scheduler: str | None = None,
        cfg: Cfg = None,
        workspace: Workspace | str | None = None,
        request_id: str | None = None,
    ) -> AppHandle:
        """Builds a component's job and submits it.

        Args:
            component: its name, as in ``dist.ddp``, ``file.py:fn`` or ``pkg.module:fn``.
            component_args: words as on the command line, or name -> value.
            scheduler: where to run (default: as configured, else ``local``).
            cfg: that scheduler's options; they win over the configured ones.
            workspace: local code that travels with roles that name none (default: as configured; "" for none).
            request_id: the same id and the same job give the old handle instead of a second job.

        Returns:
            The handle.

        Raises:
            UsageError: the component or an argument is wrong.
            InvalidJob: the job is wrong.
            BackendError: the system refused.
        """
        return self.schedule(self.dryrun_component(component, component_args, scheduler, cfg, workspace, request_id))

    def dryrun_component(
        self,
        component: str,
        component_args: ComponentArgs,
        scheduler: str | None = None,
        cfg: Cfg = None,
        workspace: Workspace | str | None = None,
        request_id: str | None = None,
        *,
        reproducible: bool = False,
    ) -> AppDryRunInfo[Any]:
        """`run_component` without the submission: no side effect."""
        args = component_args if isinstance(component_args, Mapping) else list(component_args)
        app = self.build_component(component, args)
        info = self.dryrun(app, scheduler, cfg, workspace, request_id, reproducible=reproducible)
        info.origin = info.origin._replace(component=component, args=args)
        return info

    def build_component(self, component: str, component_args: ComponentArgs) -> AppDef:
        """The job that a component makes of its arguments.

        Raises:
            UsageError: the component or an argument is wrong.
        """
        from xrun.components import command_line, finder, signature

        add_source(_configured_resources)
        found = finder.find(component)
        defaults = {**self.defaults.component_args(found), **self._component_defaults.get(component, {})}
        if defaults:
            given = component_args
            if not isinstance(given, Mapping):
                given = command_line.parse(found, list(given)).values
            component_args = {**defaults, **given}
        elif not isinstance(component_args, Mapping):
            component_args = list(component_args)
        try:
            return signature.bind(found, component_args)
        except ValueError as error:  # how a component says that an argument won't do
            raise InvalidValue(f"{component}: {error}", code="XR033") from error

    def run(
        self,
        app: AppDef,
        scheduler: str | None = None,
        cfg: Cfg = None,
        workspace: Workspace | str | None = None,
        request_id: str | None = None,
    ) -> AppHandle:
        """Submits a job; see `run_component`."""
        return self.schedule(self.dryrun(app, scheduler, cfg, workspace, request_id))

    def dryrun(
        self,
        app: AppDef,
        scheduler: str | None = None,
        cfg: Cfg = None,
        workspace: Workspace | str | None = None,
        request_id: str | None = None,
        *,
        reproducible: bool = False,
    ) -> AppDryRunInfo[Any]:
        """The request that would be sent; ``str()`` of it works by hand.

        Args:
            app: the job; a copy is taken.
            scheduler: where it would run (default: as configured, else ``local``).
            cfg: that scheduler's options; they win over the configured ones.
            workspace: local code that travels with roles that name none (default: as configured; "" for none).
            request_id: what the app id is made from (default: random).
            reproducible: make the app id from the job itself instead.

        Raises:
            InvalidJob: the job is wrong; every problem is named.
        """
        target = self._target(scheduler)
        origin = Origin(cfg=cfg, workspace=workspace)
        known, notices = self.defaults.cfg(target, cfg)
        app = self.defaults.with_workspace(app, workspace)
        info = target.submit_dryrun(app, known, request_id, reproducible=reproducible)
        info.notices += notices
        info.origin = origin
        return info

    def schedule(self, info: AppDryRunInfo[Any]) -> AppHandle:
        """Sends what `dryrun` made, exactly once; the history keeps it."""
        target = self._target(info.scheduler)
        self._recorder.begin()
        handle = target.handle_of(target.schedule(info))
        self._recorder.submitted(info, handle)
        return handle

    def check(
        self,
        app: AppDef,
        scheduler: str | None = None,
        cfg: Cfg = None,
        workspace: Workspace | str | None = None,
        request_id: str | None = None,
        *,
        server: bool = False,
    ) -> Problems:
        """Everything wrong with a job on a scheduler, errors and warnings.

        Args:
            app: the job.
            scheduler: where it would run (default: as configured, else ``local``).
            cfg: that scheduler's options; they win over the configured ones.
            workspace: local code that travels with roles that name none (default: as configured; "" for none).
            request_id: as for `run`.
            server: ask the system too; without it nothing is asked.
        """
        target = self._target(scheduler)
        known, notices = self.defaults.cfg(target, cfg)
        app = self.defaults.with_workspace(app, workspace)
        return target.check(app, known, request_id, server=server) + [_ignored(text) for text in notices]

    # --- answering -------------------------------------------------------------------------------------------------

    def status(self, handle: AppHandle) -> AppStatus | None:
        """Where a job is; None if there is none of that handle.

        Raises:
            MalformedHandle: that is no handle.
        """
        there = self.description(handle)
        return there.status if there else None

    def describe(self, handle: AppHandle) -> AppDef | None:
        """The job as it was submitted; None if there is none of that handle."""
        there = self.description(handle)
        return there.app if there else None

    def description(self, handle: AppHandle) -> AppDescription | None:
        """All that is known of a job; None if there is none of that handle."""
        return self.descriptions([handle]).get(handle)

    def descriptions(self, handles: Iterable[AppHandle]) -> dict[AppHandle, AppDescription]:
        """All that is known of some jobs, each system asked once; those that there are not are left out."""
        parts = {handle: self._locate(handle) for handle in handles}
        found: dict[AppHandle, AppDescription] = {}
        for scheduler in dict.fromkeys(scheduler for scheduler, _ in parts.values()):
            asked = {handle: app_id for handle, (of, app_id) in parts.items() if of is scheduler}
            answers = scheduler.describe_many([*dict.fromkeys(asked.values())])
            self._recorder.ended(scheduler, answers.values())
            found |= {handle: answers[app_id] for handle, app_id in asked.items() if app_id in answers}
        return found

    def wait(
        self, handle: AppHandle, wait_interval: float | None = None, timeout: float | None = None
    ) -> AppStatus | None:
        """Waits for the end of a job.

        Args:
            handle: the job.
            wait_interval: kept from TorchX; backends are asked as seldom as their own watch allows.
            timeout: seconds (default: for ever).

        Returns:
            How it ended; None if there is none of that handle, or it was deleted meanwhile.

        Raises:
            WaitTimeout: the time is up; the job goes on.
        """
        started = time.monotonic()
        for there in self.watch(handle, timeout):
            if there is None or is_terminal(there.status.state):
                return there.status if there else None
        waited = time.monotonic() - started
        raise WaitTimeout(f"{handle} has not ended after {waited:.1f} s; it goes on")

    def watch(self, handle: AppHandle, timeout: float | None = None) -> Iterator[AppDescription | None]:
        """What is known of a job, at once and then after each change, until it has ended or the time is up.

        Args:
            handle: the job.
            timeout: seconds (default: for ever).

        Yields:
            All that is known of it; None, and nothing more, if there is none of that handle.
        """
        scheduler, app_id = self._locate(handle)
        for found in scheduler.watch([app_id], timeout):
            there = found.get(app_id)
            if there is not None:
                self._recorder.ended(scheduler, [there])
            yield there
            if there is None or is_terminal(there.status.state):
                return

    def cancel(self, handle: AppHandle, *, wait: bool = True) -> None:
        """Stops a job; does nothing if it has ended.

        Args:
            handle: the job.
            wait: return once it has stopped, at most a grace period later; False returns once it was told to.

        Raises:
            JobNotFound: there is none of that handle.
        """
        scheduler, app_id = self._locate(handle)
        scheduler.cancel(app_id, wait=wait)

    def stop(self, handle: AppHandle) -> None:
        """TorchX's older name of `cancel`."""
        self.cancel(handle)

    def delete(self, handle: AppHandle) -> None:
        """Stops a job if need be and removes all that is left of it, in the history too.

        Raises:
            JobNotFound: there is none of that handle.
        """
        scheduler, app_id = self._locate(handle)
        try:
            scheduler.delete(app_id)
        except JobNotFound:
            if not self._recorder.removed(scheduler.handle_of(app_id)):
                raise
        else:
            self._recorder.removed(scheduler.handle_of(app_id))

    @property
    def history(self) -> History:
        """What was submitted from here: a cache, which may be gone at any time."""
        return self._recorder.history

    def list(self, scheduler: str | None = None, wanted: ListFilter | None = None) -> Rows:
        """Jobs that xrun submitted to a scheduler, the newest first."""
        return self._target(scheduler).list(wanted)

    def log_lines(
        self,
        handle: AppHandle,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterator[str]:
        r"""Lines of one replica, each with its ``\n``; undecodable bytes are kept as surrogates.

        Args:
            handle: the job.
            role_name: its role.
            k: the replica's number.
            regex: only lines in which this is found.
            since: only what came at or after this time.
            until: only what came at or before this time.
            should_tail: follow until the job has ended.
            streams: which output (default: both, in order of arrival).

        Raises:
            JobNotFound: there is none of that handle.
        """
        scheduler, app_id = self._locate(handle)
        return scheduler.log_iter(app_id, role_name, k, regex, _seconds(since), _seconds(until), should_tail, streams)

    def readable(self, handle: AppHandle) -> AppDescription:
        """A job whose logs can be read, which may be possible while its system is away and its state isn't known.

        Raises:
            JobNotFound: there is none of that handle.
        """
        scheduler, app_id = self._locate(handle)
        return scheduler.readable(app_id)

    def logs(self, handle: AppHandle, query: LogQuery) -> Iterator[LogChunk]:
        """Bytes of any replicas, in order of arrival."""
        scheduler, app_id = self._locate(handle)
        return scheduler.logs(app_id, query)

    def attaches(self, scheduler: str | None = None) -> bool:
        """Whether a scheduler's jobs are for the terminal they were started from, unless asked otherwise."""
        return self._target(scheduler).attaches

    def _locate(self, handle: AppHandle) -> tuple[Scheduler[Any], str]:
        name, session, app_id = parse_app_handle(handle)
        return self._scheduler(name, session), app_id

    def _target(self, scheduler: str | None) -> Scheduler[Any]:
        """Where new jobs go."""
        return self._scheduler(scheduler or self.defaults.scheduler, self.defaults.session)

    def _scheduler(self, name: str, session: str) -> Scheduler[Any]:
        name = schedulers.own_name(name)
        with self._lock:
            found = self._schedulers.get((name, session))
            if found is None:
                found = schedulers.create_scheduler(name, session, self._scheduler_params)
                found.configured = lambda: self.defaults.configured(found)
                self._schedulers[name, session] = found
        return found


def _configured_resources() -> Mapping[str, Resource]:
    from xrun.runner import config

    return config.load().named_resources()


def _ignored(notice: str) -> Problem:
    from xrun.specs.problems import Problem, Severity

    return Problem("XR049", "options", notice, "leave it out", Severity.WARNING)


def _seconds(when: datetime | float | None) -> float | None:
    if when is None or isinstance(when, (int, float)):
        return when
    from datetime import datetime

    if isinstance(when, datetime):
        return when.timestamp()
    raise InvalidValue(f"{when!r} is no time; give a datetime or Unix seconds")
