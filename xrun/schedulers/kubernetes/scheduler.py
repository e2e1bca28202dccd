"""``-s kubernetes``: what a dry run needs, and the way to `jobs`, which asks the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Probe, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.kubernetes import overlay, request
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.schedulers.kubernetes.request import KubernetesRequest
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.mounts import MountType
from xrun.specs.problems import Problem
from xrun.specs.role import RetryPolicy

if TYPE_CHECKING:
    from xrun.schedulers.kubernetes.client import Cluster
    from xrun.schedulers.kubernetes.jobs import Jobs

_AUTO = Capabilities(
    retry_policies=frozenset({RetryPolicy.APPLICATION, RetryPolicy.REPLICA}),
    mounts=frozenset({MountType.BIND, MountType.VOLUME}),
    secrets=frozenset({"env", "file", "k8s"}),
    workspace=True,
    streams=frozenset({"combined"}),
    enabling={
        "mounts": "-cfg privileged=true",
        "retry_policies": "use APPLICATION or REPLICA: neither a Job nor a JobSet restarts one role",
    },
)
_JOBSET_INSTEAD = "-cfg kind=jobset, if the cluster has JobSet"
_KINDS = {
    "auto": _AUTO,
    "job": _AUTO._replace(
        multi_role=False,
        non_primary=False,
        retry_policies=frozenset({RetryPolicy.REPLICA}),
        enabling={
            **_AUTO.enabling,
            "multi_role": _JOBSET_INSTEAD,
            "non_primary": _JOBSET_INSTEAD,
            "retry_policies": f"use REPLICA; or APPLICATION and {_JOBSET_INSTEAD}",
        },
    ),
    "jobset": _AUTO._replace(
        elastic=False, enabling={**_AUTO.enabling, "elastic": "-cfg kind=job, for one role without APPLICATION retries"}
    ),
}


def create_scheduler(
    session: str = DEFAULT_SESSION, *, progress: Callable[[str], None] = lambda _: None, **_: Any
) -> KubernetesScheduler:
    """Makes the kubernetes scheduler; the cluster is asked on first use.

    Args:
        session: the profile.
        progress: takes lines about what may surprise.
    """
    return KubernetesScheduler(session, progress)


class KubernetesScheduler(Scheduler[KubernetesRequest]):
    """Jobs as Indexed Jobs and JobSets of a cluster.

    Args:
        session: the profile; its options in xrun.toml say which cluster.
        progress: see `create_scheduler`.
    """

    name = "kubernetes"
    options_type = KubernetesOptions

    def __init__(self, session: str = DEFAULT_SESSION, progress: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(session)
        self._progress = progress

    @cached_property
    def _cluster(self) -> Cluster:
        from xrun.schedulers.kubernetes.client import Cluster

        configured = self.configured()
        return Cluster(configured.kubeconfig, configured.context, configured.namespace)

    @cached_property
    def _jobs(self) -> Jobs:
        from xrun.schedulers.kubernetes.jobs import Jobs

        return Jobs(self._cluster, self._progress)

    def capabilities(self, options: KubernetesOptions) -> Capabilities:
        """Those of the kind of object; device mounts need ``privileged``."""
        found = _KINDS[options.kind]
        return found._replace(mounts=found.mounts | {MountType.DEVICE}) if options.privileged else found

    def complete_app_id(self, app_id: str, options: KubernetesOptions) -> str:
        """With the namespace, if the options name one."""
        return f"{options.namespace}:{app_id}" if options.namespace else app_id

    def build_request(self, app: AppDef, options: KubernetesOptions, app_id: str) -> KubernetesRequest:
        """The app as objects. Overlays that are files are read here, since they are a part of what is asked for."""
        given = [overlay.load(options.overlay, "option overlay")] if options.overlay else []
        overlays = [
            [*given, *([overlay.load(role.metadata[request.OVERLAY], role.name)] if _has_overlay(role) else [])]
            for role in app.roles
        ]
        return request.build(app, options, app_id, self.handle_of(app_id), overlays)

    def render(self, request_: KubernetesRequest) -> str:
        """YAML for ``kubectl apply -f -``, with the workspace."""
        plan = request_.plan
        if not any(role.workspace for role in plan.app.roles):
            return request.render(request_)
        from xrun.schedulers.kubernetes import workspace

        return request.render(request_, *workspace.pack(plan.app.roles, plan.namespace))

    def request_notices(self, request_: KubernetesRequest) -> list[str]:
        """What a cluster can't do to the letter."""
        return list(request.notices(request_))

    def check_request(self, info: AppDryRunInfo[KubernetesRequest]) -> list[Problem]:
        """Has the API server validate every field, and whoever else has a say there, without making anything."""
        self._require_configured(info.request.plan.options, "kubeconfig", "context")
        return self._jobs.check(info)

    def submit_request(self, info: AppDryRunInfo[KubernetesRequest]) -> bool:
        """Creates the app's object and what belongs to it; False if there is an object of that name.

        Raises:
            InvalidValue: a secret can't be had, or a cluster that nobody who has only the handle would know.
            BackendError: the cluster refuses.
        """
        self._require_configured(info.request.plan.options, "kubeconfig", "context")
        return self._jobs.submit(info)

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From one list of each kind of object."""
        return self._jobs.describe_many(app_ids)

    def readable(self, app_id: str) -> AppDescription:
        """As any app is; a cluster that answered before, as to a submission, is waited for."""
        return self._cluster.steady(lambda: super(KubernetesScheduler, self).readable(app_id))

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """From one list of each kind of object."""
        return self._jobs.listed()

    def cancel_existing(self, app_id: str) -> None:
        """Suspends the app's object, which stops its pods; what they wrote is kept."""
        self._jobs.cancel(app_id)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the app's object and all that belongs to it."""
        return self._jobs.delete(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the kubelets, and of removed pods what was kept."""
        return self._jobs.iter_logs(app_id, query)

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the API server."""
        return self._jobs.watch(app_ids, timeout)

    def probe(self) -> list[Probe]:
        """The cluster, its version, what one may do there, JobSet, and the queue if one is configured."""
        from xrun.schedulers.kubernetes import probes

        return probes.look(self._cluster, vars(self.configured()))

    def close(self) -> None:
        """Lets go of the connections."""
        if "_cluster" in vars(self):
            self._cluster.close()


def _has_overlay(role: Any) -> bool:
    return request.OVERLAY in role.metadata
