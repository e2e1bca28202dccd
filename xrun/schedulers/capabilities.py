"""What a scheduler can do, declared as data, and the check of a job against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount
from xrun.specs.problems import Problem, Severity
from xrun.specs.role import RetryPolicy, Role

_MOUNTS = {BindMount: MountType.BIND, VolumeMount: MountType.VOLUME, DeviceMount: MountType.DEVICE}


@dataclass(frozen=True)
class Capabilities:
    """What one scheduler, with the options given, honours; a job that asks for more is refused.

    Attributes:
        multi_role: several roles in one app.
        non_primary: roles with ``primary=False``.
        elastic: ``min_replicas``.
        retry_policies: those that ``max_retries`` may be used with.
        mounts: kinds of mount.
        secrets: kinds of reference (``env``, ``file``, ``k8s``).
        ports: ``port_map``.
        gpus: ``resource.gpu``.
        workspace: ``role.workspace``.
        streams: log streams that can be selected.
        durable: whether another process finds the app again.
        unused: fields that have no use here, as ``image``; said by ``xrun check``, never refused.
        enabling: what would allow a thing that isn't allowed now, as ``{"mounts": "-cfg privileged=true"}``.
    """

    multi_role: bool = True
    non_primary: bool = True
    elastic: bool = True
    retry_policies: frozenset[RetryPolicy] = frozenset(RetryPolicy)
    mounts: frozenset[MountType] = frozenset()
    secrets: frozenset[str] = frozenset()
    ports: bool = True
    gpus: bool = True
    workspace: bool = False
    streams: frozenset[str] = frozenset({"stdout", "stderr", "combined"})
    durable: bool = True
    unused: frozenset[str] = frozenset()
    enabling: Mapping[str, str] = field(default_factory=dict)


def check_capabilities(app: AppDef, can: Capabilities, scheduler: str) -> list[Problem]:
    """Everything that ``app`` asks for and this scheduler does not honour (errors) or has no use for (warnings)."""
    found: list[Problem] = []
    if len(app.roles) > 1 and not can.multi_role:
        found.append(_refusal("XR040", "roles", f"{len(app.roles)} roles", "multi_role", can, scheduler))
    for i, role in enumerate(app.roles):
        found += _check_role(role, f"roles[{i}]", can, scheduler)
    return found


def _check_role(role: Role, path: str, can: Capabilities, scheduler: str) -> Iterator[Problem]:
    if not role.primary and not can.non_primary:
        yield _refusal("XR041", f"{path}.primary", "a role that is not primary", "non_primary", can, scheduler)
    if role.min_replicas not in (None, role.num_replicas) and not can.elastic:
        yield _refusal("XR042", f"{path}.min_replicas", "min_replicas", "elastic", can, scheduler)
    if role.max_retries and role.retry_policy not in can.retry_policies:
        asked = f"retry policy {role.retry_policy.value}"
        yield _refusal("XR043", f"{path}.retry_policy", asked, "retry_policies", can, scheduler)
    for k, mount in enumerate(role.mounts):
        kind = _MOUNTS[type(mount)]
        if kind not in can.mounts:
            yield _refusal("XR044", f"{path}.mounts[{k}]", f"a {kind.value} mount", "mounts", can, scheduler)
    for name, reference in role.secrets.items():
        if reference.partition(":")[0] not in can.secrets:
            asked = f"a secret from {reference.partition(':')[0]}:"
            yield _refusal("XR045", f"{path}.secrets.{name}", asked, "secrets", can, scheduler)
    if role.port_map and not can.ports:
        yield _refusal("XR046", f"{path}.port_map", "ports", "ports", can, scheduler)
    if role.resource.gpu > 0 and not can.gpus:
        yield _refusal("XR047", f"{path}.resource.gpu", f"{role.resource.gpu} GPUs", "gpus", can, scheduler)
    if role.workspace and not can.workspace:
        yield _refusal("XR048", f"{path}.workspace", "a workspace", "workspace", can, scheduler)
    for name in sorted(can.unused):
        if _asked(role, name):
            message = f"{scheduler} has no use for {name}"
            yield Problem("XR049", f"{path}.{name}", message, "it is ignored", Severity.WARNING)


def _asked(role: Role, name: str) -> bool:
    value: Any = role
    for part in name.split("."):
        value = getattr(value, part)
    return value > 0 if isinstance(value, (int, float)) else bool(value)


def _refusal(code: str, path: str, asked: str, capability: str, can: Capabilities, scheduler: str) -> Problem:
    fix = can.enabling.get(capability) or "remove it, or choose another scheduler"
    return Problem(code, path, f"{scheduler} can't do {asked}", fix)
