"""Kueue's part in an app's life, played on a real cluster: its objects, its words, what it does to Jobs and JobSets.

It holds an app suspended until there is room; lets it begin, with the labels of the nodes that it has found; and takes
it out again for another: suspended, its pods gone, back in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team, ends, meanwhile, name_of, reaches, run, says, sh, status
from tests.systems.kubernetes_cluster import create, get, group, kubectl, until
from xrun.runner import Runner
from xrun.specs.mounts import BindMount
from xrun.specs.states import AppState

pytestmark = [group("job"), pytest.mark.timeout(240)]

WORKLOADS = "workloads.kueue.x-k8s.io"
NODES = {"kubernetes.io/hostname": "node-1"}
NO_ROOM = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 2 more needed"
PREEMPTED = "Preempted to accommodate a workload (UID: 1) due to prioritization in the ClusterQueue"

RUNS_TWICE = """
[ -e /mnt/go ] && { echo done; exit 0; }
trap 'exit 143' TERM
echo ready
sleep 300 & wait
"""


class Kueue:
    """Who lets apps begin.

    Args:
        team: where.
    """

    def __init__(self, team: Team) -> None:
        self._team = team

    def queue(self, kind: str, name: str) -> None:
        """Makes its Workload of an app."""
        uid = get(self._team.system, "--namespace", self._team.namespace, kind, name)["metadata"]["uid"]
        meta = {"name": name, "labels": {"kueue.x-k8s.io/job-uid": uid}}
        spec = {"queueName": "team", "active": True}
        made = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload", "metadata": meta, "spec": spec}
        create(self._team.system, self._team.namespace, made)

    def says(self, name: str, **conditions: tuple[str, str, str]) -> None:
        """Sets conditions of a Workload: status, reason and message."""
        at = "2026-01-01T00:00:00Z"
        rows = [
            {"type": kind, "status": words[0], "reason": words[1], "message": words[2], "lastTransitionTime": at}
            for kind, words in conditions.items()
        ]
        self._patch("--subresource=status", WORKLOADS, name, {"status": {"conditions": rows}})

    def admit(self, kind: str, name: str) -> None:
        """Lets an app begin, on the nodes that it has found."""
        pod = {"spec": {"nodeSelector": NODES}}
        if kind == "job":
            self._patch("", kind, name, {"spec": {"suspend": False, "template": pod}})
            return
        at = "/spec/replicatedJobs/0/template/spec/template/spec/nodeSelector"
        changes = [{"op": "add", "path": at, "value": NODES}, {"op": "add", "path": "/spec/suspend", "value": False}]
        self._team.kubectl("patch", kind, name, "--type=json", f"--patch={json.dumps(changes)}")

    def evict(self, kind: str, name: str) -> None:
        """Takes an app out for another, and makes it as it was."""
        self._patch("", kind, name, {"spec": {"suspend": True}})
        if kind == "job":
            self._patch("--subresource=status", kind, name, {"status": {"startTime": None}})
            self._patch("", kind, name, {"spec": {"template": {"spec": {"nodeSelector": None}}}})

    def _patch(self, option: str, kind: str, name: str, patch: Any) -> None:
        words = [option] if option else []
        self._team.kubectl("patch", kind, name, *words, "--type=merge", f"--patch={json.dumps(patch)}")


@pytest.fixture
def kueue(team: Team) -> Iterator[Kueue]:
    """Its Workloads; nobody but the test does anything with them."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    version = {"name": "v1beta1", "served": True, "storage": True, "subresources": {"status": {}}}
    spec = {
        "group": "kueue.x-k8s.io",
        "names": {"kind": "Workload", "plural": "workloads", "singular": "workload", "listKind": "WorkloadList"},
        "scope": "Namespaced",
        "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
    }
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    create(team.system, team.namespace, {**kind, "metadata": {"name": WORKLOADS}, "spec": spec})
    try:
        kubectl(team.system, "wait", "--for=condition=Established", f"crd/{WORKLOADS}", "--timeout=30s")
        until(
            lambda: "workloads" in kubectl(team.system, "api-resources", "--api-group=kueue.x-k8s.io", "--cached=false")
        )
        yield Kueue(team)
    finally:
        kubectl(team.system, "delete", "crd", WORKLOADS, "--timeout=60s")


@pytest.mark.parametrize("kind", ["job", "jobset"])
def test_an_app_waits_begins_is_taken_out_and_begins_again(
    runner: Runner, team: Team, kueue: Kueue, kind: str, tmp_path: Path
) -> None:
    mounts = [BindMount(str(tmp_path), "/mnt")]
    handle = run(runner, sh(RUNS_TWICE, num_replicas=2, mounts=mounts), kind=kind, queue="team")
    name = name_of(handle)
    waiter = meanwhile(runner.wait, handle, timeout=200)
    log = meanwhile(lambda: list(runner.log_lines(handle, "main", 0, should_tail=True)))
    found = says(runner, handle, "waits in queue team")
    assert found.state is AppState.PENDING
    kueue.queue(kind, name)
    kueue.says(name, QuotaReserved=("False", "Pending", NO_ROOM))
    assert says(runner, handle, NO_ROOM).state is AppState.PENDING
    assert team.pods(handle) == []

    kueue.says(
        name, QuotaReserved=("True", "QuotaReserved", "Quota reserved"), Admitted=("True", "Admitted", "Admitted")
    )
    kueue.admit(kind, name)
    for k in (0, 1):
        reaches(runner, handle, "ready", k=k)
    assert status(runner, handle).state is AppState.RUNNING
    assert [pod["spec"]["nodeSelector"] for pod in team.pods(handle)] == [NODES, NODES]

    (tmp_path / "go").touch()
    kueue.says(name, QuotaReserved=("False", "Preempted", PREEMPTED), Evicted=("True", "Preempted", PREEMPTED))
    kueue.evict(kind, name)
    until(lambda: team.pods(handle) == [])
    found = says(runner, handle, f"waits in queue team: {PREEMPTED}")
    assert found.state is AppState.PENDING
    assert [k.state for k in found.roles[0].replicas] == [AppState.PENDING] * 2
    assert found.ended == 0
    assert not waiter.done() and not log.done()

    kueue.says(
        name, QuotaReserved=("True", "QuotaReserved", "Quota reserved"), Admitted=("True", "Admitted", "Admitted")
    )
    kueue.admit(kind, name)
    found = ends(runner, handle, AppState.SUCCEEDED)
    assert [k.exit_code for k in found.roles[0].replicas] == [0, 0]
    assert waiter.result(60).state is AppState.SUCCEEDED
    assert log.result(60) == ["ready\n", "done\n"]
    assert list(runner.log_lines(handle, "main", 0)) == ["ready\n", "done\n"]


@pytest.mark.parametrize("kind", ["job", "jobset"])
def test_an_app_that_is_cancelled_leaves_the_queue(runner: Runner, team: Team, kueue: Kueue, kind: str) -> None:
    handle = run(runner, sh("true"), kind=kind, queue="team")
    kueue.queue(kind, name_of(handle))
    runner.cancel(handle)
    ends(runner, handle, AppState.CANCELLED)
    workload = get(team.system, "--namespace", team.namespace, WORKLOADS, name_of(handle))
    assert workload["spec"]["active"] is False
    assert team.pods(handle) == []
