"""What is made of an app, whatever kind of object carries it: its groups of pods, and what a failure does to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from xrun.schedulers.kubernetes import names
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.specs.app import AppDef
from xrun.specs.problems import Problem
from xrun.specs.role import RetryPolicy, Role

JOB, JOBSET = "job", "jobset"

WORKDIR = "/workspace"
"""Where a workspace is unpacked."""

Overlay = Mapping[str, Any]
"""A part of a pod template."""


class Group(NamedTuple):
    """The pods of one role.

    Attributes:
        role: the role.
        name: what the role's part of a JobSet is called.
        retries: restarts of each pod on its own.
        tolerated: pods that may be lost for good.
        in_place: whether failures stay inside the pod, as those of a role that is not primary do.
        replaced: whether a pod that the cluster took away (a node is lost, drained, needed for others) is made anew
            alone; else everything is.
    """

    role: Role
    name: str
    retries: int
    tolerated: int
    in_place: bool
    replaced: bool

    @property
    def replicas(self) -> int:
        """How many pods."""
        return self.role.num_replicas

    @property
    def counts_taken(self) -> bool:
        """Whether pods that were taken away are all that Kubernetes counts, since the first failure is the last."""
        return self.replaced and not self.retries and not self.in_place


class Plan(NamedTuple):
    """An app as groups of pods.

    Attributes:
        app_id: its id, with the namespace if one was given.
        name: what its object is called.
        namespace: where; empty for the session's.
        handle: its handle.
        app: the job.
        options: how to run it.
        kind: JOB or JOBSET.
        groups: one for each role, in order.
        max_restarts: restarts of everything.
    """

    app_id: str
    name: str
    namespace: str
    handle: str
    app: AppDef
    options: KubernetesOptions
    kind: str
    groups: Sequence[Group]
    max_restarts: int

    @property
    def alone(self) -> bool:
        """Whether there is one pod, which needs no service to be found by."""
        return self.kind == JOB and self.groups[0].replicas == 1

    def host(self, r: int, index: int) -> str:
        """Under which name others find a pod."""
        if self.kind == JOB:
            return names.job_host(self.name, index, alone=self.alone)
        return names.jobset_host(self.name, self.groups[r].name, index)


def plan(app: AppDef, options: KubernetesOptions, app_id: str, handle: str) -> Plan:
    """The plan of an app that `problems` finds nothing wrong with."""
    namespace, name = names.split_app_id(app_id)
    kind = kind_of(app, options)
    alone = any(_retried_alone(role) for role in app.roles)  # then nothing may restart everything
    groups = [
        Group(
            role,
            names.replicated_job(name, role.name, role.num_replicas) if kind == JOBSET else "",
            retries=role.max_retries if _retried_alone(role) or not role.primary else 0,
            tolerated=role.num_replicas - role.min_replicas if role.min_replicas is not None else 0,
            in_place=not role.primary,
            replaced=kind == JOB or alone or not role.primary,
        )
        for role in app.roles
    ]
    restarts = max((role.max_retries for role in app.roles if _restarts_all(role)), default=0)
    return Plan(app_id, name, namespace, handle, app, options, kind, _distinct(groups), restarts)


def kind_of(app: AppDef, options: KubernetesOptions) -> Literal["job", "jobset"]:
    """Job, which every cluster has, unless something asks for more or the option says so."""
    if options.kind != "auto":
        return options.kind
    return "jobset" if len(app.roles) > 1 or any(_restarts_all(role) for role in app.roles) else "job"


def problems(app: AppDef, options: KubernetesOptions) -> Iterator[Problem]:
    """What an app asks for that neither kind can do in this combination."""
    kind = kind_of(app, options)
    restarting = [role for role in app.roles if _restarts_all(role)]
    for i, role in enumerate(app.roles):
        path = f"roles[{i}]"
        if kind == JOBSET and role.min_replicas not in (None, role.num_replicas):
            fix = "one role without APPLICATION retries is a Job, which can; else leave out min_replicas"
            yield Problem("XR160", f"{path}.min_replicas", "a JobSet ends with the first replica that fails", fix)
        apart = role.primary or not role.max_retries or role.retry_policy is RetryPolicy.REPLICA
        if not apart and role.num_replicas > 1:
            message = "a role that is not primary restarts replica by replica here"
            yield Problem("XR160", f"{path}.retry_policy", message, "use retry_policy REPLICA")
        if restarting and _retried_alone(role):
            message = f"{restarting[0].name} restarts everything and {role.name} single replicas"
            yield Problem("XR160", f"{path}.retry_policy", message, "use one retry policy for all primary roles")
    if len({role.max_retries for role in restarting}) > 1:
        message = "a JobSet has one number of restarts, and roles ask for different ones"
        yield Problem("XR160", "roles", message, "give the roles that restart everything the same max_retries")


def _restarts_all(role: Role) -> bool:
    return role.primary and role.max_retries > 0 and role.retry_policy is not RetryPolicy.REPLICA


def _retried_alone(role: Role) -> bool:
    return role.primary and role.max_retries > 0 and role.retry_policy is RetryPolicy.REPLICA


def _distinct(groups: list[Group]) -> list[Group]:
    """The groups, no two of one name, whatever was cut off."""
    taken: set[str] = set()
    for i, group in enumerate(groups):
        name = group.name
        for n in range(len(groups)):
            if not name or name not in taken:
                break
            name = f"{group.name[: -len(str(n)) - 1].rstrip('-')}-{n}"
        taken.add(name)
        groups[i] = group._replace(name=name)
    return groups
