"""``-s slurm``: what a dry run needs, and the way to `jobs`, which asks the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xrun.errors import BackendUnavailable
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Probe, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.schedulers.slurm import request
from xrun.schedulers.slurm.request import SlurmOptions, SlurmRequest
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.problems import Problem

if TYPE_CHECKING:
    from xrun.schedulers.slurm.client import Cluster
    from xrun.schedulers.slurm.jobs import Jobs

_CAPABILITIES = Capabilities(
    secrets=frozenset({"env", "file"}),
    workspace=True,
    unused=frozenset({"image", "resource.devices", "resource.capabilities"}),
)


def create_scheduler(session: str = DEFAULT_SESSION, **_: Any) -> SlurmScheduler:
    """Makes the Slurm scheduler; the cluster is asked on first use.

    Args:
        session: the profile.
    """
    return SlurmScheduler(session)


class SlurmScheduler(Scheduler[SlurmRequest]):
    """Jobs on a Slurm cluster."""

    name = "slurm"
    options_type = SlurmOptions

    @cached_property
    def _cluster(self) -> Cluster:
        from xrun.schedulers.slurm.client import Cluster

        return Cluster()

    @cached_property
    def _jobs(self) -> Jobs:
        from xrun.schedulers.slurm.jobs import Jobs

        return Jobs(self._cluster, _root(self.configured().job_root))

    def capabilities(self, options: Any) -> Capabilities:
        """Everything but mounts and Kubernetes' secrets."""
        return _CAPABILITIES

    def build_request(self, app: AppDef, options: SlurmOptions, app_id: str) -> SlurmRequest:
        """The app as one sbatch script."""
        return request.build(app, options, app_id, self.handle_of(app_id), _root(options.job_root))

    def render(self, request_: SlurmRequest) -> str:
        """The script."""
        from xrun.schedulers.slurm import script

        return script.text(request_)

    def request_notices(self, request_: SlurmRequest) -> list[str]:
        """What Slurm can't do to the letter, and a time that is over at once."""
        from xrun.schedulers.slurm import limits

        return [*request.notices(request_), *limits.notices(request_)]

    def submit_request(self, info: AppDryRunInfo[SlurmRequest]) -> bool:
        """Makes the job's folder and runs sbatch once; False if there is an app of that id.

        Raises:
            InvalidValue: a secret can't be had, or a job root that nobody who has only the handle would know.
        """
        from xrun.schedulers.slurm import submission

        root = info.request.options.job_root
        self._require_configured(info.request.options, "job_root")
        return submission.submit(self._cluster, info, _root(root))

    def check_request(self, info: AppDryRunInfo[SlurmRequest]) -> list[Problem]:
        """What sbatch says to it, and whether the job root can be written."""
        from xrun.schedulers.slurm import submission

        return submission.check(self._cluster, info, _root(info.request.options.job_root))

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From the jobs' folders, and from the queue for those that have not ended."""
        return self._jobs.describe_many(app_ids)

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """The job root's folders."""
        return self._jobs.listed(wanted)

    def cancel_existing(self, app_id: str) -> None:
        """Tells the job's script, which stops the replicas and then the job."""
        self._jobs.cancel(app_id)

    def _await_end(self, app_id: str) -> None:
        self._jobs.see_end(app_id)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the job's folder."""
        return self._jobs.delete(app_id)

    def readable(self, app_id: str) -> AppDescription:
        """An app whose files are here, also while the cluster doesn't answer."""
        try:
            return self._existing(app_id)
        except BackendUnavailable:  # its files are here all the same
            if (there := self._jobs.begun(app_id)) is None:
                raise
            return there

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the replicas' files."""
        return self._jobs.iter_logs(app_id, query)

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the jobs' files; the queue is asked less and less often."""
        return self._jobs.watch(app_ids, timeout)

    def probe(self) -> list[Probe]:
        """Commands, version, controller, accounting, partitions, job root."""
        from xrun.schedulers.slurm import probes
        from xrun.schedulers.slurm.client import Cluster

        configured = self.configured()
        return probes.look(Cluster(probes.PATIENCE), _root(configured.job_root), configured.partition)


def _root(given: str) -> str:
    from xrun.schedulers.slurm.jobroot import default_root

    return os.path.abspath(given) if given else default_root()
