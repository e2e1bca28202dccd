"""The job."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import Role
from xrun.specs.workspace import Workspace


@dataclass
class AppDef:
    """A job: roles that run together.

    Attributes:
        name: free text; an app id is made from it, so a short lower-case word is best.
        roles: what runs; at least one of them primary.
        metadata: free notes that travel with the job.
    """

    name: str
    roles: list[Role] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def clone(app: AppDef) -> AppDef:
    """A deep copy; `copy.deepcopy` takes ten times as long and this runs on every submission."""
    return AppDef(app.name, [_clone_role(role) for role in app.roles], dict(app.metadata))


def _clone_role(role: Role) -> Role:
    return Role(
        name=role.name,
        image=role.image,
        entrypoint=role.entrypoint,
        args=list(role.args),
        env=dict(role.env),
        num_replicas=role.num_replicas,
        min_replicas=role.min_replicas,
        max_retries=role.max_retries,
        retry_policy=role.retry_policy,
        resource=_clone_resource(role.resource),
        port_map=dict(role.port_map),
        mounts=[_clone_mount(m) for m in role.mounts],
        metadata=copy.deepcopy(role.metadata) if role.metadata else {},
        workspace=Workspace(dict(role.workspace.projects)) if role.workspace is not None else None,
        secrets=dict(role.secrets),
        primary=role.primary,
    )


def _clone_resource(r: Resource) -> Resource:
    return Resource(
        int(r.cpu) if r.cpu % 1 == 0 else r.cpu,  # so that 2 and 2.0 have one hash
        r.gpu,
        r.memMB,
        copy.deepcopy(r.capabilities) if r.capabilities else {},
        dict(r.devices),
        copy.deepcopy(r.tags) if r.tags else {},
    )


def _clone_mount(m: BindMount | VolumeMount | DeviceMount) -> BindMount | VolumeMount | DeviceMount:
    return copy.copy(m)
