"""Jobs of the busybox image, and what must become of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from tests.schedulers.waiting import ends, reaches, status
from tests.systems.kubernetes_cluster import BUSYBOX, KubernetesSystem, get, kubectl, until
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.status import AppStatus

__all__ = ["UNTIL_STOPPED", "Team", "ends", "evict", "meanwhile", "name_of", "reaches", "run", "says", "sh", "status"]

UNTIL_STOPPED = "trap 'exit 143' TERM; echo ready; sleep 300 & wait; exit 9"
"""For Kubernetes, one that ended with 0 would have done its work, whoever stopped it."""


class Team(NamedTuple):
    """A namespace of the cluster, seen by who may do everything."""

    system: KubernetesSystem
    namespace: str

    def kubectl(self, *words: str, **options: Any) -> str:
        return kubectl(self.system, "--namespace", self.namespace, *words, **options)

    def pods(self, handle: str) -> list[dict[str, Any]]:
        """An app's pods, the oldest first."""
        chosen = f"--selector=xrun.dev/app-id={name_of(handle)}"
        found = get(self.system, "--namespace", self.namespace, "pods", chosen)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def names(self, kinds: str, *words: str) -> list[str]:
        """Of all objects of these kinds."""
        return self.kubectl("get", kinds, "--output=jsonpath={.items[*].metadata.name}", *words).split()

    def left(self, handle: str) -> list[str]:
        """All objects of an app."""
        kinds = "jobs,jobsets,pods,services,configmaps,secrets"
        chosen = f"--selector=xrun.dev/app-id={name_of(handle)}"
        return self.kubectl("get", kinds, chosen, "--output=name").split()


def evict(team: Team, pod: str) -> None:
    """Takes a pod away, as a drain does, or a cluster that needs the room."""
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{team.namespace}/pods/{pod}/eviction"
    team.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(asked))


def name_of(handle: str) -> str:
    return handle.rpartition("/")[2].rpartition(":")[2]


def sh(script: str, name: str = "main", **fields: Any) -> Role:
    """A role that runs a shell script."""
    return Role(name, **{"image": BUSYBOX, "entrypoint": "sh", "args": ["-c", script], **fields})


def run(runner: Runner, *roles: Role, **options: Any) -> str:
    """Submits; returns the handle."""
    return str(runner.run(AppDef("job", list(roles)), "kubernetes", {"grace_period": 1, **options}))


def says(runner: Runner, handle: str, words: str, timeout: float = 30) -> AppStatus:
    """Waits until the status of a job says something."""

    def said() -> AppStatus | None:
        found = status(runner, handle)
        return found if words in found.msg else None

    found: AppStatus = until(said, timeout)
    return found


def meanwhile(call: Callable[..., Any], *words: Any, **options: Any) -> Future[Any]:
    """Calls in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *words, **options)
    pool.shutdown(wait=False)
    return future
