"""What a scheduler can do, declared as data, and the check of a job against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount
from xrun.specs.problems import Problem, Severity
from xrun.specs.role import RetryPolicy, Role

_MOUNTS = {BindMount: MountType.BIND, VolumeMount: MountType.VOLUME, DeviceMount: MountType.DEVICE}


class Capabilities(NamedTuple):
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
    enabling: Mapping[str, str] = MappingProxyType({})


def check_capabilities(app: AppDef, can: Capabilities, scheduler: str) -> list[Problem]:
    """Everything that ``app`` asks for and this scheduler does not honour (errors) or has no use for (warnings)."""
    found: list[Problem] = []
    if len(app.roles) > 1 and not can.multi_role:
        found.append(_refusal("XR040", "roles", f"{len(app.roles)} roles", "multi_role", can, scheduler))
    for i, role in enumerate(app.roles):
        found += _check_role(role, f"roles[{i}]", can, scheduler)
    return found


def _check_role(role: Role, path: str, can: Capabilities, scheduler: str) -> Iterator[Problem]:
    asked: list[tuple[str, str, bool, str, str]] = [
        ("XR041", "primary", role.primary or can.non_primary, "a role that is not primary", "non_primary"),
        ("XR042", "min_replicas", not _elastic(role) or can.elastic, "min_replicas", "elastic"),
        ("XR043", "retry_policy", *_retries(role, can), "retry_policies"),
        ("XR046", "port_map", not role.port_map or can.ports, "ports", "ports"),
        ("XR047", "resource.gpu", role.resource.gpu <= 0 or can.gpus, f"{role.resource.gpu} GPUs", "gpus"),
        ("XR048", "workspace", not role.workspace or can.workspace, "a workspace", "workspace"),
    ]
    for k, mount in enumerate(role.mounts):
        kind = _MOUNTS[type(mount)]
        asked.append(("XR044", f"mounts[{k}]", kind in can.mounts, f"a {kind.value} mount", "mounts"))
    for name, reference in role.secrets.items():
        source = reference.partition(":")[0]
        asked.append(("XR045", f"secrets.{name}", source in can.secrets, f"a secret from {source}:", "secrets"))
    for code, field_, allowed, what, capability in asked:
        if not allowed:
            yield _refusal(code, f"{path}.{field_}", what, capability, can, scheduler)
    for name in sorted(can.unused):
        if _asked(role, name):
            message = f"{scheduler} has no use for {name}"
            yield Problem("XR049", f"{path}.{name}", message, "it is ignored", Severity.WARNING)


def _elastic(role: Role) -> bool:
    return role.min_replicas not in (None, role.num_replicas)


def _retries(role: Role, can: Capabilities) -> tuple[bool, str]:
    allowed = not role.max_retries or role.retry_policy in can.retry_policies
    return allowed, f"retry policy {role.retry_policy.value}"


def _asked(role: Role, name: str) -> bool:
    value: Any = role
    for part in name.split("."):
        value = getattr(value, part)
    return value > 0 if isinstance(value, (int, float)) else bool(value)


def _refusal(code: str, path: str, asked: str, capability: str, can: Capabilities, scheduler: str) -> Problem:
    fix = can.enabling.get(capability) or "remove it, or choose another scheduler"
    return Problem(code, path, f"{scheduler} can't do {asked}", fix)
