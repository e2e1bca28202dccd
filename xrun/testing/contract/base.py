"""What the cases share: how they build a job, submit it and look at it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import pytest

from xrun import schedulers
from xrun.errors import JobNotFound, Unsupported
from xrun.runner import Runner, get_runner
from xrun.schedulers.api import ListFilter
from xrun.schedulers.capabilities import Capabilities, check_capabilities
from xrun.specs.app import AppDef
from xrun.specs.handle import DEFAULT_SESSION, parse_app_handle
from xrun.specs.problems import Severity
from xrun.specs.resources import Resource
from xrun.specs.role import Role
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus, ReplicaStatus

UNTIL_STOPPED = "trap 'exit 0' TERM; echo ready; sleep 60 & wait; exit 9"
"""A payload that says ``ready`` and goes on until it gets SIGTERM."""

IGNORES_TERM = "trap '' TERM; echo ready; i=0; while [ $i -lt 300 ]; do sleep 0.2; i=$((i+1)); done; exit 9"
"""A payload that says ``ready`` and goes on until it gets SIGKILL."""

SCHEDULER, OUTCOME = "contract.scheduler", "contract.outcome"
"""Properties of each case in a JUnit report, for `xrun.testing.table`: whose it is, and what it found if it passes."""

SHOW_ATTEMPT = 'echo "attempt $XRUN_ATTEMPT"; '

_shared: WeakKeyDictionary[Runner, dict[str, Job | None]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Job:
    """A submitted job.

    Attributes:
        runner: who submitted it.
        handle: its handle.
        timeout: seconds after which a wait has failed.
    """

    runner: Runner
    handle: str
    timeout: float

    @property
    def app_id(self) -> str:
        """The app's id."""
        return parse_app_handle(self.handle).app_id

    def status(self) -> AppStatus:
        """Where it is; it must be known."""
        status = self.runner.status(self.handle)
        assert status is not None, f"{self.handle} is not known any more"
        return status

    def ends(self, state: AppState) -> AppStatus:
        """Waits for its end, which must be this one."""
        status = self.runner.wait(self.handle, timeout=self.timeout)
        assert status is not None, f"{self.handle} is not known any more"
        assert status.state == state, status.format()
        return status

    def replica(self, role: str = "main", k: int = 0) -> ReplicaStatus:
        """The status of one replica."""
        replicas = {r.role: r.replicas for r in self.status().roles}
        return replicas[role][k]

    def lines(self, role: str = "main", k: int = 0, **query: Any) -> list[str]:
        """What a replica wrote."""
        return list(self.runner.log_lines(self.handle, role, k, **query))

    def reaches(self, line: str, role: str = "main", k: int = 0) -> None:
        """Follows a replica until it has written a line."""
        for found in self.runner.log_lines(self.handle, role, k, should_tail=True):
            if found == line + "\n":
                return
        pytest.fail(f"{role}/{k} ended without writing {line!r}: {self.status().format()}")


class ContractBase:
    """What an author may set; the defaults are right for a scheduler that needs no options.

    Attributes:
        scheduler: its name.
        column: its name in the contract's table (default: the scheduler's).
        cfg: options that every job gets.
        image: image of every role.
        timeout: seconds that any of the jobs may take to end.
        shell: a POSIX shell, in the image.
        python: Python 3, in the image.
        inherits_env: whether jobs get the launcher's environment (design: local and Slurm do, containers don't).
        skew: seconds within which replicas that start together have all begun to run.
        hostile_jobs: jobs with 100 random arguments and 100 random variables each.
        crlf: what becomes of a line's end that is CR and LF, in a log; containerd drops the first.
        many_retries: retries that are many; fewer where the system lets long pass between them.
    """

    scheduler: ClassVar[str] = schedulers.DEFAULT_SCHEDULER
    column: ClassVar[str] = ""
    cfg: ClassVar[Mapping[str, Any]] = {}
    image: ClassVar[str] = ""
    timeout: ClassVar[float] = 60.0
    shell: ClassVar[str] = "sh"
    python: ClassVar[str] = "python3"
    inherits_env: ClassVar[bool] = True
    skew: ClassVar[float] = 0.5
    hostile_jobs: ClassVar[int] = 10
    crlf: ClassVar[bytes] = b"\r\n"
    many_retries: ClassVar[int] = 40

    @pytest.fixture(autouse=True)
    def _leave_nothing(self, runner: Runner, request: pytest.FixtureRequest) -> Iterator[None]:
        self._mine: list[str] = []
        self._refused = False
        yield
        # not by record_property, which warns that xunit2 has no place for it; pytest writes these all the same
        outcome = "refused" if self._refused else "holds"
        request.node.user_properties += [(SCHEDULER, self.column or self.scheduler), (OUTCOME, outcome)]
        for handle in self._mine:
            try:
                runner.delete(handle)
            except JobNotFound:
                pass

    def another_runner(self) -> Runner:
        """A Runner that knows nothing of the first one; to be closed by the caller."""
        return get_runner()

    # --- building --------------------------------------------------------------------------------------------------

    def role(self, script: str, *args: str, name: str = "main", **fields: Any) -> Role:
        """A role that runs a shell script with these arguments."""
        return self.program(self.shell, "-c", script, "sh", *args, name=name, **fields)

    def program(self, entrypoint: str, *args: str, name: str = "main", **fields: Any) -> Role:
        """A role that runs a program."""
        fields.setdefault("resource", Resource(cpu=0.1, memMB=64))
        return Role(name, image=self.image, entrypoint=entrypoint, args=list(args), **fields)

    def app(self, *roles: Role, name: str = "contract") -> AppDef:
        """A job of these roles."""
        return AppDef(name, list(roles))

    def options(self, **cfg: Any) -> dict[str, Any]:
        """The options of a job; jobs that are stopped get a short grace period unless they say otherwise."""
        return {"grace_period": 2, **self.cfg, **cfg}

    # --- submitting ------------------------------------------------------------------------------------------------

    def run(self, runner: Runner, app: AppDef, request_id: str | None = None, **cfg: Any) -> Job:
        """Submits a job that every scheduler takes; it is deleted after the test."""
        job = Job(runner, runner.run(app, self.scheduler, self.options(**cfg), request_id=request_id), self.timeout)
        self._mine.append(job.handle)
        return job

    def run_or_be_refused(self, runner: Runner, app: AppDef, **cfg: Any) -> Job | None:
        """Submits a job if the scheduler declares all it asks for; else checks how it is refused and returns None."""
        if self.is_refused(runner, app, **cfg):
            return None
        return self.run(runner, app, **cfg)

    def run_once(self, runner: Runner, make: Callable[[], AppDef], **cfg: Any) -> Job | None:
        """As `run_or_be_refused`, once for all tests that share the runner; the job stays."""
        known = _shared.setdefault(runner, {})
        if make.__qualname__ not in known:
            known[make.__qualname__] = self.run_or_be_refused(runner, make(), **cfg)
            self._mine.clear()
        elif known[make.__qualname__] is None:
            self.not_declared()
        return known[make.__qualname__]

    def not_declared(self) -> None:
        """Notes that this case saw a refusal, or what holds without a capability; the contract's table says so."""
        self._refused = True

    def is_refused(self, runner: Runner, app: AppDef, **cfg: Any) -> bool:
        """Whether a job asks for more than is declared; then it must be refused in the right way."""
        options = self.options(**cfg)
        found = check_capabilities(app, self.capabilities(**cfg), self.scheduler)
        declared = {p.code for p in found if p.severity is Severity.ERROR}
        if not declared:
            return False
        self.not_declared()
        before = self.listed(runner)
        with pytest.raises(Unsupported) as refusal:
            runner.run(app, self.scheduler, options)
        assert refusal.value.exit_code == 3
        assert {p.code for p in refusal.value.problems} >= declared
        assert all(p.path and p.fix for p in refusal.value.problems)
        assert self.listed(runner) == before, "it was refused and yet submitted"
        return True

    def capabilities(self, **cfg: Any) -> Capabilities:
        """What the scheduler declares with the options of a job."""
        scheduler = schedulers.create_scheduler(self.scheduler, DEFAULT_SESSION)
        try:
            return scheduler.capabilities(scheduler.run_opts().resolve(self.options(**cfg)))
        finally:
            scheduler.close()

    def listed(self, runner: Runner, **wanted: Any) -> set[str]:
        """Ids of the jobs that are listed."""
        return {row.app_id for row in runner.list(self.scheduler, ListFilter(**wanted))}


@contextmanager
def launcher_env(**values: str | None) -> Iterator[None]:
    """Sets variables of this process for a while; None removes one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        yield


def this_environment() -> dict[str, str]:
    """What another process of ours needs to see the same schedulers and jobs."""
    import sys

    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
