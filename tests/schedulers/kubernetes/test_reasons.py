"""What keeps an app from running, or ended it, where its program's own container doesn't tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team, ends, run, says, sh
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import BUSYBOX, group
from xrun.runner import Runner, get_runner
from xrun.specs.app import AppDef
from xrun.specs.mounts import VolumeMount
from xrun.specs.role import Role
from xrun.specs.states import AppState
from xrun.specs.workspace import Workspace

pytestmark = [group("verbs"), pytest.mark.timeout(240)]

FAILED, PENDING, SUCCEEDED = AppState.FAILED, AppState.PENDING, AppState.SUCCEEDED


def beside(script: str, kind: str = "containers", image: str = BUSYBOX) -> dict[str, Any]:
    """Metadata that puts a container beside the program's, or before it."""
    container = {"name": "side", "image": image, "command": ["sh", "-c", script]}
    return {"kubernetes": {"spec": {kind: [container]}}}


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo one; echo broken >&2; exit 3", "containers", "main/0 failed: exit 3: in container side"),
        ("exit 4", "initContainers", "main/0 failed: exit 4: in container side"),
        ("echo broken >/dev/termination-log; exit 4", "initContainers", "main/0 failed: exit 4: side: broken"),
    ],
)
def test_a_container_beside_the_program_fails(runner: Runner, team: Team, script: str, kind: str, said: str) -> None:
    assert ends(runner, run(runner, sh("true", metadata=beside(script, kind))), FAILED).msg == said


def test_no_scheduler_takes_it(runner: Runner, team: Team) -> None:
    handle = run(runner, sh("true"), scheduler_name="none")
    found = says(runner, handle, "main/0: no scheduler has looked at it; is there one named none, and is it up?")
    assert found.state == PENDING
    runner.cancel(handle)


def test_the_kubelet_ends_it(runner: Runner, team: Team) -> None:
    limits = {"resources": {"limits": {"ephemeral-storage": "20Mi"}}}
    script = "echo hi; dd if=/dev/zero of=/tmp/x bs=1M count=60 2>/dev/null; sleep 120"
    role = sh(script, metadata={"kubernetes": {"spec": {"containers": [{"name": "main", **limits}]}}})
    found = ends(runner, run(runner, role), FAILED, 120)
    assert "Evicted: " in found.msg
    assert "ephemeral local storage usage exceeds" in found.msg


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_its_image_cannot_be_pulled(runner: Runner, team: Team, kind: str) -> None:
    handle = run(runner, sh("sleep 600", metadata=beside("true", kind, "localhost:1/none:1")))
    found = says(runner, handle, "localhost:1/none:1")
    assert found.state is PENDING
    assert "ImagePull" in found.msg
    runner.delete(handle)


def test_a_volume_that_is_not_there(runner: Runner, team: Team) -> None:
    handle = run(runner, sh("true", mounts=[VolumeMount("configmap:nosuch", "/settings")]))
    found = says(runner, handle, 'configmap "nosuch" not found')
    assert found.state is PENDING
    assert found.msg.startswith("main/0: FailedMount: ")
    team.kubectl("create", "configmap", "nosuch", "--from-literal=a=1")
    ends(runner, handle, SUCCEEDED, 180)


@pytest.mark.parametrize(
    ("what", "said"), [("services", "exceeded quota: none"), ("jobs.batch", "JobSet's controller makes no Jobs of it")]
)
def test_a_jobset_whose_parts_cannot_be_made(runner: Runner, team: Team, what: str, said: str) -> None:
    team.kubectl("create", "quota", "none", f"--hard=count/{what}=0")
    handle = run(runner, sh("true", num_replicas=2), kind="jobset")
    found = says(runner, handle, said)
    assert found.state is PENDING
    runner.delete(handle)


def test_a_queue_that_is_not_there(runner: Runner, team: Team) -> None:
    (found,) = runner.check(AppDef("a", [sh("true")]), "kubernetes", {"queue": "team"}, server=True)
    assert (found.code, found.path) == ("XR176", "options.queue")
    assert "the cluster has no Kueue" in found.message
    handle = run(runner, sh("true"), queue="team")
    assert says(runner, handle, "the cluster has no Kueue").state is PENDING
    runner.delete(handle)


STRICT: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_what_a_policy_allows(
    runner: Runner, team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xrun_home: Path
) -> None:
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl(team.system, "label", "namespace", team.namespace, enforced)
    (tmp_path / "a").write_text("here\n")
    usual = Role("main", BUSYBOX, "cat", ["a"], workspace=Workspace({str(tmp_path): ""}))
    handle = run(runner, usual)
    assert says(runner, handle, "violates PodSecurity").state is PENDING
    # who may make pods is told before
    assert runner.check(AppDef("a", [usual]), "kubernetes", server=True) == []
    monkeypatch.setenv("KUBECONFIG", cluster.admin_of(team.system, team.namespace))
    with get_runner() as admin:
        (problem,) = admin.check(AppDef("a", [usual]), "kubernetes", server=True)
        assert "violates PodSecurity" in problem.message
        usual.metadata = {"kubernetes": {"spec": {"containers": [{"name": "main", "securityContext": STRICT}]}}}
        assert admin.check(AppDef("a", [usual]), "kubernetes", server=True) == []
    handle = run(runner, usual)
    ends(runner, handle, SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["here\n"]
