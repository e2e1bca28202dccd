"""What one replica asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Resource:
    """Requests of one replica; a number <= 0 means "don't ask".

    Attributes:
        cpu: cores; may be fractional, rounded up where a system needs whole ones.
        gpu: devices of the default kind (``nvidia.com/gpu`` on Kubernetes).
        memMB: memory in MiB, on every backend.
        capabilities: what the machine must have, as in ``{"node.kubernetes.io/instance-type": "p4d.24xlarge"}``.
        devices: other countable devices by name, as in ``{"vpc.amazonaws.com/efa": 4}``.
        tags: free notes; no backend reads them.
    """

    cpu: float = -1
    gpu: int = -1
    memMB: int = -1
    capabilities: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def copy(original: Resource, **capabilities: Any) -> Resource:
        """A copy of ``original`` with more capabilities."""
        return Resource(
            original.cpu,
            original.gpu,
            original.memMB,
            {**original.capabilities, **capabilities},
            dict(original.devices),
            dict(original.tags),
        )


Source = Callable[[], Mapping[str, Resource]]

SOURCES: list[Source] = []
"""Where named resources come from beside our tables and plugins; see `add_source`."""


def add_source(source: Source) -> None:
    """Adds names that are not built in.

    Args:
        source: gives the resources by name; called whenever they are needed, and never for a name that is built in.
            One that was added already is not added again.
    """
    if source not in SOURCES:
        SOURCES.append(source)


def resource(
    cpu: float | None = None, gpu: int | None = None, memMB: int | None = None, h: str | None = None
) -> Resource:
    """A Resource from single numbers or from a name; the name wins.

    Args:
        cpu: cores (default 2).
        gpu: GPUs (default 0).
        memMB: MiB of memory (default 1024).
        h: a named resource, as in ``"aws_p4d.24xlarge"``.

    Raises:
        UnknownName: there is no resource of that name.
    """
    if h:
        from xrun.specs.named import get_named_resource

        return get_named_resource(h)
    return Resource(
        cpu=2 if cpu is None else cpu, gpu=0 if gpu is None else gpu, memMB=1024 if memMB is None else memMB
    )
