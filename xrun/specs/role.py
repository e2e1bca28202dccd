"""One kind of replica in an app."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.workspace import Workspace

SCRIPT = "xrun/script"
"""Key of Role.metadata: the local script that args name, so that a scheduler can say it is missing before it starts."""


class RetryPolicy(str, Enum):
    """What restarts when a replica fails: everything, its role, or itself."""

    APPLICATION = "APPLICATION"
    ROLE = "ROLE"
    REPLICA = "REPLICA"


@dataclass
class Role:
    """A program and how many copies of it run.

    Attributes:
        name: unique in the app; letters, digits, ``.``, ``_`` and ``-``.
        image: container image; empty for the scheduler's configured one.
        entrypoint: the program, looked up on PATH unless it holds a ``/``.
        args: its arguments; they arrive byte for byte, macros replaced.
        env: its environment, names ``[A-Za-z_][A-Za-z0-9_]*``.
        num_replicas: copies that start together.
        min_replicas: the role goes on while at least this many can still run (default: all).
        max_retries: restarts after a failure, so at most max_retries + 1 attempts.
        retry_policy: what a failure restarts.
        resource: what each replica asks for.
        port_map: port name -> number.
        mounts: file systems and devices.
        metadata: free keys; keys that begin with a scheduler's name are that scheduler's.
        workspace: local code that travels with this role.
        secrets: env name -> reference (``env:NAME``, ``file:PATH``, ``k8s:secret/key``), resolved at submission.
        primary: whether this role decides the app's end; one that isn't is stopped when the primary ones are done.
    """

    name: str
    image: str = ""
    entrypoint: str = ""
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    num_replicas: int = 1
    min_replicas: int | None = None
    max_retries: int = 0
    retry_policy: RetryPolicy = RetryPolicy.APPLICATION
    resource: Resource = field(default_factory=Resource)
    port_map: dict[str, int] = field(default_factory=dict)
    mounts: list[BindMount | VolumeMount | DeviceMount] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    workspace: Workspace | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    primary: bool = True
