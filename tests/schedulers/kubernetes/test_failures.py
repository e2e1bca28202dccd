"""What goes wrong on a real cluster, and what is said about it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import (
    UNTIL_STOPPED,
    Team,
    ends,
    evict,
    meanwhile,
    name_of,
    reaches,
    run,
    says,
    sh,
    status,
)
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import create, group, until
from xrun.errors import BackendError
from xrun.runner import Runner, get_runner
from xrun.schedulers.kubernetes import states
from xrun.specs.mounts import BindMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState

pytestmark = [group("verbs"), pytest.mark.timeout(240)]

PENDING, RUNNING, FAILED, SUCCEEDED = AppState.PENDING, AppState.RUNNING, AppState.FAILED, AppState.SUCCEEDED
KINDS = pytest.mark.parametrize("kind", ["job", "jobset"])

OUTAGE = 20.0
"""Seconds that the API server is away."""

COUNTS = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.1; done"


# --- the control plane ---------------------------------------------------------------------------------------------


# the collector may find a connection that was cut before it finds who reads it
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_the_api_server_is_away_while_jobs_are_submitted_waited_for_and_followed(runner: Runner, team: Team) -> None:
    counts = run(runner, sh(COUNTS))
    ends_meanwhile = run(runner, sh("sleep 5; exit 3"), kind="jobset")
    goes_on = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    for k in (0, 1):
        reaches(runner, goes_on, "ready", k=k)
    log = meanwhile(lambda: list(runner.log_lines(counts, "main", 0, should_tail=True)))
    reaches(runner, counts, "line 5")
    end = meanwhile(runner.wait, ends_meanwhile, timeout=120)

    submitted: list[Future[Any]] = []
    begun: list[Future[Any]] = []

    def away() -> None:
        begun.append(meanwhile(lambda: list(runner.log_lines(counts, "main", 0, should_tail=True))))
        begun.append(meanwhile(runner.wait, ends_meanwhile, timeout=120))
        submitted.extend(meanwhile(run, runner, sh("exit 0", num_replicas=2), kind=k) for k in ("job", "jobset"))
        time.sleep(OUTAGE)
        assert not log.done() and not end.done() and not any(future.done() for future in (*submitted, *begun))

    cluster.restart(team.system, "api-server", away)
    there = end.result(120)
    assert there.state == FAILED
    assert "exit 3" in there.msg
    assert log.result(120) == begun[0].result(120) == [f"line {i}\n" for i in range(300)]
    assert begun[1].result(120).state == FAILED
    ends(runner, counts, SUCCEEDED)
    for future in submitted:
        ends(runner, future.result(120), SUCCEEDED)
    assert status(runner, goes_on).state == RUNNING
    names = {name_of(handle) for handle in (counts, ends_meanwhile, goes_on, *(f.result() for f in submitted))}
    assert set(team.names("jobs,jobsets", "-l=!jobset.sigs.k8s.io/jobset-name")) == names
    runner.cancel(goes_on)


def test_the_api_server_crashes_while_many_jobs_are_submitted(runner: Runner, team: Team) -> None:
    assert runner.list("kubernetes") == []
    kinds = ["job", "jobset"] * 15
    submitting = meanwhile(lambda: [run(runner, sh("exit 0", num_replicas=2), kind=kind) for kind in kinds])
    until(lambda: team.kubectl("get", "jobs", "--output=name"))
    cluster.restart(team.system, "api-server")
    handles = submitting.result(120)
    for handle in handles:
        ends(runner, handle, SUCCEEDED, 120)
    assert sorted(team.names("jobs,jobsets", "-l=!jobset.sigs.k8s.io/jobset-name")) == sorted(map(name_of, handles))
    assert sorted(team.names("services")) == sorted(map(name_of, handles))


def test_the_kubelet_is_restarted_in_the_middle(runner: Runner, team: Team) -> None:
    handle = run(runner, sh(COUNTS))
    log = meanwhile(lambda: list(runner.log_lines(handle, "main", 0, should_tail=True)))
    reaches(runner, handle, "line 5")
    cluster.restart(team.system, "kubelet", lambda: time.sleep(5))
    ends(runner, handle, SUCCEEDED, 120)
    assert log.result(60) == [f"line {i}\n" for i in range(300)]


def test_a_node_that_stays_away_keeps_nobody_for_ever(
    runner: Runner, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_LATE", 2.0)
    monkeypatch.setattr(states, "_STUCK", 8.0)
    handle = run(runner, sh(UNTIL_STOPPED), grace_period=1)
    reaches(runner, handle, "ready")
    waited = meanwhile(runner.wait, handle, timeout=60)

    def away() -> None:
        cancelling = meanwhile(runner.cancel, handle)
        said = says(runner, handle, "does not go")
        assert said.state == RUNNING
        assert "its node, node-1, is Ready" in said.msg
        assert waited.result(60).state == AppState.CANCELLED
        cancelling.result(60)

    cluster.restart(team.system, "kubelet", away)


def test_a_node_is_lost(runner: Runner, team: Team) -> None:
    handles = {kind: run(runner, sh(UNTIL_STOPPED), kind=kind) for kind in ("job", "jobset")}
    for handle in handles.values():
        reaches(runner, handle, "ready")
    first = {handle: team.pods(handle)[0]["metadata"]["uid"] for handle in handles.values()}

    def is_to_go(handle: str) -> bool:
        return bool(team.pods(handle)[0]["metadata"].get("deletionTimestamp"))

    def away() -> None:
        for handle in handles.values():
            # nobody on the node hears of it
            until(partial(is_to_go, handle), 90)
            assert status(runner, handle).state == RUNNING

    def is_made_anew(handle: str) -> bool:
        return status(runner, handle).roles[0].replicas[0].attempt == 1

    # a cluster that has lost all its nodes takes the fault for its own, and waits
    with cluster.played_nodes(team.system, 3):
        cluster.restart(team.system, "kubelet", away)
    for handle in handles.values():
        until(partial(is_made_anew, handle))
        (there,) = [pod for pod in team.pods(handle) if not pod["metadata"].get("deletionTimestamp")]
        assert there["metadata"]["uid"] != first[handle]
        runner.cancel(handle)


@KINDS
def test_a_node_is_drained(runner: Runner, team: Team, kind: str) -> None:
    script = f"[ $XRUN_ATTEMPT = 0 ] || {{ echo again; exit 0; }}; {UNTIL_STOPPED}"
    handle = run(runner, sh(script, num_replicas=2), kind=kind)
    for k in (0, 1):
        reaches(runner, handle, "ready", k=k)
    chosen = f"--pod-selector=batch.kubernetes.io/job-completion-index=1,xrun.dev/app-id={name_of(handle)}"
    team.kubectl("drain", "node-1", chosen, "--force", "--delete-emptydir-data", "--timeout=60s")
    team.kubectl("uncordon", "node-1")
    if kind == "job":
        # only the pod that was taken away is made anew
        reaches(runner, handle, "again", k=1)
        assert status(runner, handle).roles[0].replicas[1].attempt == 1
        assert status(runner, handle).roles[0].replicas[0].attempt == 0
        runner.cancel(handle)
    else:
        ends(runner, handle, SUCCEEDED)


# --- pods ----------------------------------------------------------------------------------------------------------


@KINDS
def test_a_pod_is_deleted_by_hand(runner: Runner, team: Team, kind: str) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2), kind=kind)
    for k in (0, 1):
        reaches(runner, handle, "ready", k=k)
    team.kubectl("delete", "pod", team.pods(handle)[0]["metadata"]["name"])
    found = ends(runner, handle, FAILED)
    assert found.msg.count("\n") == 0
    assert "removed" in found.msg


@KINDS
def test_out_of_memory(runner: Runner, team: Team, kind: str) -> None:
    handle = run(runner, sh("tail /dev/zero", resource=Resource(memMB=24)), kind=kind)
    found = ends(runner, handle, FAILED)
    assert "SIGKILL: OOMKilled: it used more memory than memMB allows" in found.msg


@KINDS
def test_an_image_that_cannot_be_pulled(runner: Runner, team: Team, kind: str) -> None:
    handle = run(runner, sh("true", image="localhost:1/none:1"), kind=kind)
    found = says(runner, handle, "localhost:1/none:1")
    assert found.state == PENDING
    assert "ImagePull" in found.msg
    assert "\n" not in found.msg
    runner.cancel(handle)
    assert status(runner, handle).state == AppState.CANCELLED
    runner.delete(handle)
    assert team.left(handle) == []


def test_a_program_that_is_not_in_the_image(runner: Runner, team: Team) -> None:
    found = ends(runner, run(runner, sh("", entrypoint="nosuch", args=[])), FAILED)
    assert "exit 127: can't start" in found.msg
    assert "nosuch" in found.msg


# --- what a cluster has no room for --------------------------------------------------------------------------------


@KINDS
def test_a_full_quota(runner: Runner, team: Team, kind: str) -> None:
    team.kubectl("create", "quota", "small", "--hard=pods=1")
    handle = run(runner, sh("sleep 1", num_replicas=2), kind=kind)
    found = says(runner, handle, "exceeded quota: small")
    assert found.state in (PENDING, RUNNING)
    assert "\n" not in found.msg
    team.kubectl("delete", "quota", "small")
    ends(runner, handle, SUCCEEDED, 120)


def test_a_quota_that_has_no_room_for_the_job_itself(runner: Runner, team: Team) -> None:
    team.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    with pytest.raises(BackendError, match="exceeded quota: none") as refusal:
        run(runner, sh("true", num_replicas=2))
    assert "\n" not in str(refusal.value)
    assert team.kubectl("get", "jobs,services", "--output=name") == ""


@KINDS
def test_4x8_gpus_with_a_node_too_few(runner: Runner, team: Team, kind: str) -> None:
    role = sh("true", num_replicas=4, resource=Resource(gpu=8))
    played = {"node_selector": {cluster.FAKE: "fake"}, "tolerations": [cluster.FAKE]}
    with cluster.played_nodes(team.system, 3):
        handle = run(runner, role, kind=kind, annotations={cluster.LASTS: "20s"}, **played)
        found = says(runner, handle, "nvidia.com/gpu")
        assert "Insufficient nvidia.com/gpu" in found.msg
        assert "nodes are available" in found.msg
        with cluster.played_nodes(team.system, 4) as nodes:
            there = until(lambda: team.pods(handle) if status(runner, handle).state == RUNNING else None)
            until(lambda: all(pod["spec"].get("nodeName") for pod in team.pods(handle)))
            assert len(there) == 4
            assert sorted(pod["spec"]["nodeName"] for pod in team.pods(handle)) == nodes
            ends(runner, handle, SUCCEEDED, 120)


# --- what one may not do -------------------------------------------------------------------------------------------


def test_who_may_do_nothing_is_told_so(team: Team, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", cluster.account(team.system, team.namespace, [], "nobody"))
    with get_runner() as runner, pytest.raises(BackendError, match="no right to create Job") as refusal:
        run(runner, sh("true"))
    assert refusal.value.code == "XR170"
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 4


def test_who_may_only_create_leaves_no_half_of_a_job(
    team: Team, xrun_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]}]
    monkeypatch.setenv("KUBECONFIG", cluster.account(team.system, team.namespace, rules, "half"))
    with get_runner() as runner, pytest.raises(BackendError, match="no right to create Service"):
        run(runner, sh("true", num_replicas=2))
    until(lambda: team.kubectl("get", "jobs,pods", "--output=name") == "")


def test_retries_are_not_used_up_by_the_cluster(runner: Runner, team: Team, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    script = """
    file=/mnt/$XRUN_REPLICA_ID; touch $file; echo >>$file
    [ $(wc -l <$file) = 1 ] && { echo ready; sleep 300; }
    exit 4
    """
    mounts = [BindMount(str(tmp_path), "/mnt")]
    role = sh(script, num_replicas=2, max_retries=1, retry_policy=RetryPolicy.REPLICA, mounts=mounts)
    handle = run(runner, role)
    for k in (0, 1):
        reaches(runner, handle, "ready", k=k)
    for pod in team.pods(handle):
        evict(team, pod["metadata"]["name"])
    found = ends(runner, handle, FAILED, 120)
    assert "exit 4" in found.msg
    # taken away once, then two failures: the first and its one retry
    assert max(replica.attempt for replica in found.roles[0].replicas) == 2


def test_a_namespace_that_is_not_there(runner: Runner, team: Team) -> None:
    with pytest.raises(BackendError) as refusal:
        run(runner, sh("true"), namespace="nosuch-namespace")
    assert "nosuch-namespace" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_objects_of_others_are_left_alone(runner: Runner, team: Team) -> None:
    handle = run(runner, sh("true"))
    ends(runner, handle, SUCCEEDED)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {"a": "b"}}
    create(team.system, team.namespace, other)
    runner.delete(handle)
    assert team.left(handle) == []
    assert team.kubectl("get", "configmap", "other", "--output=name") == "configmap/other\n"
