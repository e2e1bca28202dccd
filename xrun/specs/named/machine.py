"""What a row of a cloud's table means.

A cloud says how much memory its machine has; a job can't have all of it, since the kernel and the node's own agents
take a part. TorchX's rule is kept, which it found by trial on AWS Batch: ask for 96 % of it, that is
``int(1024 * 0.96)`` = 983 MiB for each GiB. A job that asks for all of it waits forever.
"""

from __future__ import annotations

from collections.abc import Mapping

from xrun.specs.resources import Resource

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
MIB_PER_GIB = int(1024 * 0.96)


def machine(instance_type: str, cpu: int, gpu: int, gib: int, devices: Mapping[str, int] | None = None) -> Resource:
    """The whole of one cloud machine as a request.

    Args:
        instance_type: the cloud's name for it, which Kubernetes puts on the node as the label `INSTANCE_TYPE`.
        cpu: vCPUs.
        gpu: GPUs.
        gib: memory in GiB, as the cloud states it.
        devices: other devices by name; those with a count of 0 are left out.

    Returns:
        A Resource of 96 % of that memory, with the instance type among its capabilities.
    """
    counted = {name: count for name, count in (devices or {}).items() if count}
    return Resource(cpu, gpu, gib * MIB_PER_GIB, capabilities={INSTANCE_TYPE: instance_type}, devices=counted)
