"""The contract between xrun and a system that runs jobs.

A backend writes seven methods (``build_request``, ``submit_request``, ``describe_many``, ``list_ours``,
``cancel_existing``, ``delete_existing``, ``iter_logs``). What must be the same everywhere is written once, here, around
them: checks, exactly-once submission, what "not found" means, idempotent cancel, waiting.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar

from xrun.errors import (
    BackendError,
    InvalidJob,
    InvalidValue,
    JobNotFound,
    RequestConflict,
    UnknownName,
    Unsupported,
    UsageError,
)
from xrun.schedulers.capabilities import Capabilities, check_capabilities
from xrun.schedulers.descriptions import AppDescription, ListedApp, ListFilter, Probe
from xrun.schedulers.logs import LogChunk, LogQuery, Stream, text_lines
from xrun.specs.app import AppDef, clone
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION, make_app_handle
from xrun.specs.identity import make_app_id, new_request_id, spec_hash
from xrun.specs.options import CommonOptions, runopts
from xrun.specs.problems import Problem, Severity
from xrun.specs.states import is_terminal

__all__ = [
    "AppDescription",
    "ListFilter",
    "ListedApp",
    "Probe",
    "Scheduler",
    "Stream",
]

R = TypeVar("R")

_REDRAWS = 5  # tries at a random id before a collision is taken for a fault


# Scheduler has a method named list, so inside it these types go by other names
_Texts = list[str]
_Problems = list[Problem]
_Probes = list[Probe]
_Rows = list[ListedApp]


class Scheduler(abc.ABC, Generic[R]):
    """A system that runs jobs.

    Args:
        session: a profile of the configuration; part of every handle.
    """

    name: ClassVar[str]
    """What ``-s`` and handles call it."""

    attaches: ClassVar[bool] = False
    """Whether ``xrun run`` stays with the job unless told otherwise."""

    options_type: ClassVar[type[CommonOptions]] = CommonOptions
    """A frozen dataclass: name, type, default and help of every option."""

    def __init__(self, session: str = DEFAULT_SESSION) -> None:
        self.session = session
        self.configured: Callable[[], Any] = lambda: self._resolve({})
        """What the configuration says of the session, as options; where the system is must not come from elsewhere,
        since who has only a handle must find the job."""

    # --- what a backend writes -------------------------------------------------------------------------------------

    @abc.abstractmethod
    def build_request(self, app: AppDef, options: Any, app_id: str) -> R:
        """The system's own request. Pure: no I/O, no clock, nothing random, no SDK."""

    @abc.abstractmethod
    def submit_request(self, info: AppDryRunInfo[R]) -> bool:
        """Sends a request, exactly once.

        Returns:
            False if an app of that id is already there; it is left as it is.
        """

    @abc.abstractmethod
    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """What is known of some apps, in one call where the system can; an absent key means no such job."""

    @abc.abstractmethod
    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Apps that xrun submitted here; a backend may filter more coarsely than asked."""

    @abc.abstractmethod
    def cancel_existing(self, app_id: str) -> None:
        """Begins to stop an app that is there and has not ended; the state afterwards is CANCELLED."""

    @abc.abstractmethod
    def delete_existing(self, app_id: str) -> bool:
        """Removes all that is left of an app that has ended, or of a half-made one; False if there was nothing."""

    @abc.abstractmethod
    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What an app that is there wrote, in order of arrival; honours every field of the query."""

    # --- hooks with defaults ---------------------------------------------------------------------------------------

    def capabilities(self, options: Any) -> Capabilities:
        """What this scheduler honours with these options."""
        return Capabilities()

    def complete_app_id(self, app_id: str, options: Any) -> str:
        """The id by which an app is found with its handle alone, as ``namespace:name`` where there are namespaces."""
        return app_id

    def render(self, request: R) -> str:
        """The request as text that works by hand; a job as it is becomes YAML."""
        if isinstance(request, AppDef):
            from xrun.specs.serialize import to_yaml

            return to_yaml(request)
        return str(request)

    def request_notices(self, request: R) -> _Texts:
        """What was rounded or left out while building the request, one line each."""
        return []

    def check_request(self, info: AppDryRunInfo[R]) -> _Problems:
        """Asks the system whether it would take the request, without a trace of having asked.

        Raises:
            BackendUnavailable: it can't be reached.
        """
        return []

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """What is known of some apps, again and again, at once and then after each change.

        The default asks the system, ten times a second at first and every ten seconds in the end; a system that can
        tell by itself should.

        Args:
            app_ids: which.
            timeout: seconds after which it stops (default: never).
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.1
        while True:
            yield self.describe_many(app_ids)
            left = pause if end is None else min(pause, end - time.monotonic())
            if left <= 0:
                return
            time.sleep(left)
            pause = min(pause * 1.5, 10.0)

    def probe(self) -> _Probes:
        """What ``xrun doctor`` shows."""
        return []

    def close(self) -> None:
        """Lets go of connections and helpers; jobs go on."""

    # --- what is the same everywhere -------------------------------------------------------------------------------

    def run_opts(self) -> runopts:
        """The options by name."""
        return _options_of(self.options_type)  # type: ignore[arg-type] # a class is hashable, whatever its instances are

    def handle_of(self, app_id: str) -> str:
        """The handle of an app here."""
        return make_app_handle(self.name, self.session, app_id)

    def check(self, app: AppDef, options: Any, request_id: str | None = None, *, server: bool = False) -> _Problems:
        """Everything wrong with a job, in general and for this scheduler.

        Args:
            app: the job.
            options: this scheduler's options, or the values of them.
            request_id: what its app id would be made from.
            server: ask the system too; without it nothing is asked.
        """
        from xrun.specs.validation import validate  # much that only a submission needs

        found = validate(app)
        if _has_errors(found):
            return found
        resolved = self._resolve(options)
        found += check_capabilities(app, self.capabilities(resolved), self.name)
        if _has_errors(found):
            return found
        app = clone(app)
        try:
            info = self._info(app, resolved, request_id or spec_hash(app, vars(resolved)), True, [])
        except InvalidJob as refusal:
            return found + refusal.problems
        # a backend that rounds a value says so in words; see `request_notices`
        found += [Problem("XR049", "request", text, "xrun render shows it", Severity.WARNING) for text in info.notices]
        if server:
            found += self.check_request(info) + (self._check_request_id(info) if request_id else [])
        return found

    def submit_dryrun(
        self, app: AppDef, cfg: Any, request_id: str | None = None, *, reproducible: bool = False
    ) -> AppDryRunInfo[R]:
        """The request for a job, ready to be sent; no side effect.

        Args:
            app: the job; a copy is taken.
            cfg: this scheduler's options, or a mapping of the values that aren't defaults.
            request_id: makes the submission idempotent (default: random).
            reproducible: take the request id from the job itself, so that the same job renders the same.

        Raises:
            InvalidJob: the job is wrong; every problem is named.
            Unsupported: the job is right but asks for what this scheduler can't do.
        """
        from xrun.specs.validation import validate

        options = self._resolve(cfg)
        problems = validate(app)
        _raise_errors(problems, InvalidJob)
        problems += check_capabilities(app, self.capabilities(options), self.name)
        _raise_errors(problems, Unsupported)
        app = clone(app)
        chosen = request_id is not None or reproducible
        if request_id is None:
            request_id = spec_hash(app, vars(options)) if reproducible else new_request_id()
        notices = [str(p) for p in problems] if problems else []
        return self._info(app, options, request_id, chosen, notices)

    def submit(self, app: AppDef, cfg: Any, request_id: str | None = None) -> str:
        """`submit_dryrun` and `schedule` in one; returns the app id."""
        return self.schedule(self.submit_dryrun(app, cfg, request_id))

    def schedule(self, info: AppDryRunInfo[R]) -> str:
        """Sends a request, exactly once.

        Returns:
            The app's id: a new one, or the old one if the same request was sent before.

        Raises:
            RequestConflict: the request id already stands for another job.
            BackendError: the system refused.
        """
        for _ in range(_REDRAWS):
            if self.submit_request(info):
                return info.app_id
            there = self.describe(info.app_id)
            if there is not None and there.request_id == info.request_id:
                if there.spec_hash == info.spec_hash:
                    info.is_new = False
                    return info.app_id
                fields = _differences(there.app, info.app)
                raise RequestConflict(info.request_id, self.handle_of(info.app_id), fields)
            if info.chosen_request_id:
                raise BackendError(
                    f"{self.handle_of(info.app_id)} exists and belongs to another request; choose another request id",
                    code="XR093",
                )
            fresh = self._info(info.app, info.options, new_request_id(), False, info.notices)
            info.request, info.app_id, info.request_id = fresh.request, fresh.app_id, fresh.request_id
        raise BackendError(f"no free app id found for {info.app.name!r} in {_REDRAWS} tries", code="XR094")

    def describe(self, app_id: str) -> AppDescription | None:
        """What is known of one app; None if there is none."""
        return self.describe_many([app_id]).get(app_id)

    def exists(self, app_id: str) -> bool:
        """Whether there is such an app."""
        return self.describe(app_id) is not None

    def cancel(self, app_id: str, *, wait: bool = True) -> None:
        """Stops an app; does nothing if it has ended.

        Args:
            app_id: the app.
            wait: return once it has stopped; False returns once it was told to.

        Raises:
            JobNotFound: there is no such app.
        """
        if not is_terminal(self._existing(app_id).status.state):
            self.cancel_existing(app_id)
            if wait:
                self._await_end(app_id)

    def delete(self, app_id: str) -> None:
        """Stops an app if need be and removes all that is left of it.

        Raises:
            JobNotFound: there is nothing of that name.
        """
        there = self.describe(app_id)
        if there is not None and not is_terminal(there.status.state):
            self.cancel_existing(app_id)
            self._await_end(app_id)
        if not self.delete_existing(app_id) and there is None:
            raise JobNotFound(self.handle_of(app_id))

    def list(self, wanted: ListFilter | None = None) -> _Rows:
        """Apps that xrun submitted here, the newest first, each with its handle."""
        wanted = wanted or ListFilter()
        rows = [row for row in self.list_ours(wanted) if wanted.takes(row)]
        rows = [row if row.handle else row._replace(handle=self.handle_of(row.app_id)) for row in rows]
        return sorted(rows, key=lambda row: (-row.submitted, row.app_id))

    def readable(self, app_id: str) -> AppDescription:
        """An app whose logs can be read; a backend may know of it while its system is away.

        Raises:
            JobNotFound: there is no such app.
        """
        return self._existing(app_id)

    def logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What an app wrote, as chunks of bytes.

        Raises:
            JobNotFound: there is no such app.
            UnknownName: it has no such role or replica.
            UsageError: this scheduler does not keep that stream apart.
        """
        there = self.readable(app_id)
        streams = self.capabilities(self._resolve({})).streams
        if query.stream.value not in streams:
            raise UsageError(f"{self.name} can't select {query.stream}; it has {', '.join(sorted(streams))}")
        if query.role is not None:
            self._check_target(there, query)
        return self.iter_logs(app_id, query)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: float | None = None,
        until: float | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterator[str]:
        r"""Lines of one replica, each with its ``\n`` (TorchX's signature).

        Args:
            app_id: the app.
            role_name: its role.
            k: the replica's number.
            regex: only lines in which this is found.
            since: Unix time of the first output wanted.
            until: Unix time of the last output wanted.
            should_tail: follow until the app has ended.
            streams: which output (default: both, in order of arrival).
        """
        stream = streams or Stream.COMBINED
        query = LogQuery(role_name, (k,), stream, since, until, follow=should_tail)
        return text_lines(self.logs(app_id, query), regex)

    def _resolve(self, options: Any) -> Any:
        return options if isinstance(options, self.options_type) else self.run_opts().resolve(options or {})

    def _require_configured(self, options: Any, *names: str) -> None:
        """Refuses options that say where jobs are if the session's are others: with the handle alone nobody would know.

        Raises:
            InvalidValue: one of them is for this command alone.
        """
        for name in names:
            given = getattr(options, name)
            if given != getattr(self.configured(), name):
                raise InvalidValue(
                    f"option {name}: {given!r} is for this command alone, and status and log would look elsewhere; put "
                    f"it into a profile of xrun.toml, [profiles.NAME.schedulers.{self.name}], and give --profile NAME"
                )

    def _info(self, app: AppDef, options: Any, request_id: str, chosen: bool, notices: _Texts) -> AppDryRunInfo[R]:
        app_id = self.complete_app_id(make_app_id(app.name, request_id), options)
        request = self.build_request(app, options, app_id)
        return AppDryRunInfo(
            request,
            self.render,
            app=app,
            scheduler=self.name,
            options=options,
            app_id=app_id,
            request_id=request_id,
            chosen_request_id=chosen,
            notices=notices + self.request_notices(request),
        )

    def _check_request_id(self, info: AppDryRunInfo[R]) -> _Problems:
        there = self.describe(info.app_id)
        if there is None or there.spec_hash == info.spec_hash:
            return []
        fields = ", ".join(_differences(there.app, info.app)) or "its options"
        message = f"it already stands for {self.handle_of(info.app_id)}, which differs in: {fields}"
        return [Problem("XR080", "request_id", message, "use another --request-id")]

    def _existing(self, app_id: str) -> AppDescription:
        there = self.describe(app_id)
        if there is None:
            raise JobNotFound(self.handle_of(app_id))
        return there

    def _await_end(self, app_id: str) -> None:
        for found in self.watch([app_id]):
            if app_id not in found or is_terminal(found[app_id].status.state):
                return

    def _check_target(self, there: AppDescription, query: LogQuery) -> None:
        counts = {r.role: len(r.replicas) for r in there.status.roles}
        if query.role not in counts:
            raise UnknownName("role", str(query.role), counts, code="XR079")
        for k in query.replicas or ():
            if not 0 <= k < counts[query.role]:
                last = counts[query.role] - 1
                raise UsageError(f"role {query.role} has replicas 0 to {last}, not {k}", code="XR079")


SchedulerFactory = Callable[..., Scheduler[Any]]
"""Makes a scheduler: ``factory(session, **params)``; params that it does not know are ignored."""


@cache
def _options_of(options_type: type) -> runopts:
    return runopts(options_type)


def _has_errors(problems: list[Problem]) -> bool:
    return any(p.severity is Severity.ERROR for p in problems)


def _raise_errors(problems: list[Problem], error: type[InvalidJob]) -> None:
    if problems and _has_errors(problems):
        raise error([p for p in problems if p.severity is Severity.ERROR])


def _differences(old: AppDef | None, new: AppDef) -> list[str]:
    """Paths at which two jobs differ."""
    from xrun.specs.serialize import differences, to_dict

    return differences(to_dict(old), to_dict(new)) if old is not None else []
