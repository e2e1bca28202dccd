"""``-s docker``: what a dry run needs, and the way to `jobs`, which asks the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Probe, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.docker import request
from xrun.schedulers.docker.request import DockerOptions, DockerRequest
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.mounts import MountType

if TYPE_CHECKING:
    from xrun.schedulers.docker.client import Engine
    from xrun.schedulers.docker.jobs import Jobs
    from xrun.specs.problems import Problem

_CAPABILITIES = Capabilities(
    mounts=frozenset(MountType),
    secrets=frozenset({"env", "file"}),
    workspace=True,
    unused=frozenset({"resource.capabilities"}),
)


def create_scheduler(
    session: str = DEFAULT_SESSION, *, progress: Callable[[str], None] = lambda _: None, **_: Any
) -> DockerScheduler:
    """Makes the docker scheduler; the engine is asked on first use.

    Args:
        session: the profile.
        progress: takes lines about what goes on while an image is pulled, built or pushed.
    """
    return DockerScheduler(session, progress)


class DockerScheduler(Scheduler[DockerRequest]):
    """Jobs as containers on an engine.

    Args:
        session: the profile; its options in xrun.toml say where the engine is.
        progress: see `create_scheduler`.
    """

    name = "docker"
    options_type = DockerOptions

    def __init__(self, session: str = DEFAULT_SESSION, progress: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(session)
        self._progress = progress

    @cached_property
    def _engine(self) -> Engine:
        from xrun.schedulers.docker.client import Engine

        return Engine(self.configured().host)

    @cached_property
    def _jobs(self) -> Jobs:
        from xrun.schedulers.docker.jobs import Jobs

        return Jobs(self._engine, self._progress)

    def capabilities(self, options: Any) -> Capabilities:
        """Everything but Kubernetes' secrets."""
        return _CAPABILITIES

    def build_request(self, app: AppDef, options: DockerOptions, app_id: str) -> DockerRequest:
        """The app as containers."""
        return request.build(app, options, app_id, self.handle_of(app_id))

    def render(self, request_: DockerRequest) -> str:
        """A shell script of docker commands."""
        return request.render(request_)

    def request_notices(self, request_: DockerRequest) -> list[str]:
        """What an engine can't do to the letter."""
        return list(request.notices(request_))

    def check_request(self, info: AppDryRunInfo[DockerRequest]) -> list[Problem]:
        """Scripts that the workspace lacks, and images that the engine lacks and may not pull."""
        return self._jobs.check(info.request)

    def submit_request(self, info: AppDryRunInfo[DockerRequest]) -> bool:
        """Creates all containers and starts them; False if there is an app of that id.

        Raises:
            InvalidValue: a secret can't be had, or a host that nobody who has only the handle would know.
            BackendError: an image isn't there, or the engine refuses.
        """
        self._require_configured(info.request.options, "host")
        return self._jobs.submit(info)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From one list of containers; one app is looked at more closely."""
        return self._jobs.describe_many(app_ids)

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """From one list of containers."""
        return self._jobs.listed()

    def cancel_existing(self, app_id: str) -> None:
        """Records the end; a supervisor carries it out, side by side for all containers."""
        self._jobs.cancel(app_id)

    def delete_existing(self, app_id: str) -> bool:
        """Removes containers, network and the volumes that were made for the app."""
        return self._jobs.delete(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the engine's log of each container."""
        return self._jobs.iter_logs(app_id, query)

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the engine's events."""
        return self._jobs.watch(app_ids, timeout)

    def probe(self) -> list[Probe]:
        """Engine, limits, disk, GPUs, and the registry if one is configured."""
        from xrun.schedulers.docker import probes
        from xrun.schedulers.docker.client import Engine

        configured = self.configured()
        engine = Engine(configured.host, patience=probes.PATIENCE)
        try:
            return probes.look(engine, vars(configured))
        finally:
            engine.close()

    def close(self) -> None:
        """Lets go of the connection."""
        if "_engine" in vars(self):
            self._engine.close()
