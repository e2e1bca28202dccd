"""The options of ``-s kubernetes``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xrun.errors import InvalidValue
from xrun.specs.options import CommonOptions, option


@dataclass(frozen=True)
class KubernetesOptions(CommonOptions):
    """Options of ``-s kubernetes``."""

    kubeconfig: str = option(
        "", help="kubeconfig file, in a profile; empty for KUBECONFIG, ~/.kube/config or the pod's"
    )
    context: str = option("", help="context of the kubeconfig, in a profile; empty for the current one")
    namespace: str = option("", help="namespace; empty for the context's")
    kind: Literal["auto", "job", "jobset"] = option(
        "auto", help="what an app becomes; auto is a JobSet for several roles or restarts of the whole app, else a Job"
    )
    env: dict[str, str] = option({}, help="variables for all pods; a role's own win")
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = option(
        "", help="when nodes pull images; empty for the cluster's default"
    )
    image_pull_secrets: list[str] = option([], help="secrets with the passwords of registries")
    service_account: str = option("", help="service account of the pods")
    priority_class: str = option("", help="PriorityClass of the pods")
    scheduler_name: str = option("", help="which of the cluster's schedulers places the pods")
    queue: str = option("", help="Kueue's LocalQueue that the app waits in")
    queue_priority: str = option("", help="Kueue's WorkloadPriorityClass")
    topology_required: str = option("", help="Kueue: node label that all pods of a role must share, as a rack's")
    topology_preferred: str = option("", help="Kueue: node label that all pods of a role share if possible")
    node_selector: dict[str, str] = option({}, help="labels that nodes must have")
    tolerations: list[str] = option([], help="taints that pods put up with: KEY[=VALUE][:EFFECT], or * for all")
    labels: dict[str, str] = option({}, help="labels of the app's objects and pods")
    annotations: dict[str, str] = option({}, help="annotations of the app's objects and pods")
    gpu_resource: str = option("nvidia.com/gpu", help="name of the resource that gpu counts")
    cpu_overhead: float = option(0.0, help="CPUs requested less than the limit, for what else runs on whole nodes")
    mem_overhead_mb: int = option(0, help="MiB requested less than the limit")
    shm_mb: int = option(0, help="MiB of /dev/shm; 0 for the role's memMB, or the node's default without that")
    run_as_user: int = option(-1, help="user id that programs run as; -1 for the image's")
    run_as_group: int = option(-1, help="group id; -1 for the image's")
    fs_group: int = option(-1, help="group id that volumes belong to; -1 for none")
    privileged: bool = option(False, help="give containers all devices and capabilities of the node")
    share_processes: bool = option(
        True, help="pods share process ids among their containers, so that SIGTERM ends programs that don't handle it"
    )
    ttl: int = option(-1, help="seconds after its end when the cluster deletes the app; -1 for never")
    overlay: str = option("", help="YAML or JSON file or URL with more of the pods, merged in as by kubectl patch")

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"shm_mb": 0, "cpu_overhead": 0, "mem_overhead_mb": 0, "ttl": -1}
        least |= {"run_as_user": -1, "run_as_group": -1, "fs_group": -1}
        for name, number in least.items():
            value = getattr(self, name)
            if value < number:
                raise InvalidValue(f"option {name}: {value} is less than {number}")
        if self.topology_required and self.topology_preferred:
            raise InvalidValue("options topology_required and topology_preferred: give one of them")
