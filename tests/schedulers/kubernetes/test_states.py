"""What objects of a cluster say, in the contract's words."""

from __future__ import annotations

from typing import Any

import pytest

from xrun.schedulers.kubernetes import endings, objects, request, states
from xrun.schedulers.kubernetes.keeper import doomed
from xrun.schedulers.kubernetes.objects import Found, Pod
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.states import AppState

WHEN = "2026-01-01T00:00:10Z"


def app(**fields: Any) -> AppDef:
    return AppDef("job", [Role("main", "image:1", "sh", **fields)])


def raw_pod(
    index: int = 0, phase: str = "Running", state: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"job-{index}",
            "uid": f"u{index}",
            "labels": {"xrun.dev/role": "main"},
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            "ownerReferences": [{"uid": "j", "controller": True}],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"containers": [{"name": "main"}], "nodeName": "node-1"},
        "status": {"phase": phase, "containerStatuses": [{"name": "main", "state": state or {}}], **status},
    }


def pod(*args: Any, **fields: Any) -> Pod:
    found = objects.pod_of(raw_pod(*args, **fields))
    assert found is not None
    return found


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    state = {"exitCode": code, "message": message, "reason": reason, "startedAt": WHEN, "finishedAt": WHEN}
    return {"terminated": state}


def found(job: AppDef, pods: list[Pod], *conditions: tuple[str, str], **status: Any) -> Found:
    made = request.head(request.build(job, KubernetesOptions(), "job-abcde", "kubernetes://default/job-abcde"))
    made["metadata"] |= {"uid": "j", "creationTimestamp": "2026-01-01T00:00:00Z"}
    rows = [{"type": t, "status": "True", "reason": r, "lastTransitionTime": WHEN} for t, r in conditions]
    made["status"] = {"conditions": rows, **status}
    return Found(made, [made], pods, [])


def described(there: Found, job: AppDef) -> Any:
    return states.describe(there, "job-abcde", job).status


@pytest.mark.parametrize(
    ("state", "outcome", "error"),
    [
        (ended(3, "noise\nboom\n"), "exit 3", "boom"),
        (ended(137, "", "OOMKilled"), "SIGKILL", "OOMKilled: it used more memory than memMB allows"),
        (ended(128, 'exec: "nope": executable file not found in $PATH', "StartError"), "exit 127", "nope"),
        (ended(128, 'exec: "/etc/passwd": permission denied', "StartError"), "exit 126", "permission denied"),
        (ended(1, '{"message": {"message": "lost it", "extraInfo": {"a": "b"}}}'), "exit 1", "lost it"),
        (ended(1, '{"message": {"message": "cut", "extraInfo": {"py_callstack": "Trac'), "exit 1", "cut"),
        (
            ended(1, "[rank0]: ValueError: bad\nx.ChildFailedError: \n=====\n root cause\n=====\n"),
            "exit 1",
            "ValueError: bad",
        ),
        (ended(0, "xrun-exit 4 2\nwhy"), "exit 4", "why"),
        (ended(255), "exit 255", ""),
    ],
)
def test_how_a_pod_ended(state: dict[str, Any], outcome: str, error: str) -> None:
    there = pod(0, "Failed" if state["terminated"]["exitCode"] else "Succeeded", state)
    status = described(found(app(), [there], ("Failed", "MaxFailedIndexesExceeded")), app())
    replica = status.roles[0].replicas[0]
    assert replica.outcome == outcome
    assert error in replica.error
    assert replica.state is AppState.FAILED
    assert f"main/0 failed: {outcome}" in status.msg


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4"}]},
            "0/4",
        ),
        ({}, ""),
    ],
)
def test_why_a_pod_waits(status: dict[str, Any], said: str) -> None:
    there = pod(0, "Pending", **status)
    assert said in endings.waiting(there)
    assert bool(endings.waiting(there)) == bool(said)


def test_an_image_that_is_not_there() -> None:
    there = pod(0, "Pending", {"waiting": {"reason": "ImagePullBackOff", "message": "no\n such image"}})
    status = described(found(app(), [there]), app())
    assert (status.state, status.msg) == (AppState.PENDING, "main/0: ImagePullBackOff: no such image")


def test_an_app_ends_when_its_pods_have() -> None:
    job = app(num_replicas=2)
    pods = [pod(0, "Failed", ended(3)), pod(1, "Running", {"running": {"startedAt": WHEN}})]
    there = found(job, pods, ("Failed", "MaxFailedIndexesExceeded"))
    assert described(there, job).state is AppState.RUNNING
    status = described(there._replace(pods=pods[:1]), job)
    assert status.state is AppState.FAILED
    assert [k.state for k in status.roles[0].replicas] == [AppState.FAILED, AppState.CANCELLED]


def test_losses_that_a_role_puts_up_with() -> None:
    job = app(num_replicas=3, min_replicas=2)
    there = found(job, [], ("Failed", "FailedIndexes"), failedIndexes="0", completedIndexes="1,2")
    status = described(there, job)
    assert status.state is AppState.SUCCEEDED
    assert [k.state.name for k in status.roles[0].replicas] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert described(found(job, [], ("Failed", "FailedIndexes"), failedIndexes="0-1"), job).state is AppState.FAILED


def test_a_time_limit_is_named() -> None:
    there = found(app(), [], ("Failed", "DeadlineExceeded"))
    there.head["metadata"]["annotations"]["xrun.dev/options"] = '{"max_runtime": 6}'
    assert described(there, app()).msg == "stopped after max_runtime, 6 s"


def test_what_is_cancelled_stays_so() -> None:
    there = found(app(), [pod(0, "Succeeded", ended(0))], ("Complete", ""))
    there.head["metadata"]["annotations"]["xrun.dev/cancelled"] = "1767225615.5"
    status = described(there, app())
    assert (status.state, status.ended) == (AppState.CANCELLED, 1767225615.5)


def test_damaged_notes_do_no_harm() -> None:
    there = found(app(), [])
    there.head["metadata"]["annotations"] |= {"xrun.dev/spec": "{", "xrun.dev/options": "[1]"}
    assert states.app_of(there) is None
    assert states.options_of(there) == {}
    assert described(there, app()).state is AppState.PENDING
    assert objects.kept_of({"metadata": {"annotations": {"xrun.dev/kept": '{"name": 1}'}}}) is None


def test_pods_of_an_older_app_of_that_name_are_not_its_own() -> None:
    job = app()
    made = found(job, []).head
    old = pod(0, "Failed", ended(1))._replace(owner="older")
    there = objects.assemble([made], [], [old], [])
    assert there["job-abcde"].pods == []


def test_which_pods_are_about_to_go() -> None:
    job = app(num_replicas=3)
    running = pod(1, "Running", {"running": {"startedAt": WHEN}})
    assert doomed(found(job, [running])) == []
    assert doomed(found(job, [pod(0, "Failed", ended(3)), running])) == [running]
    assert doomed(found(job, [running._replace(stopped=5.0)])) == [running._replace(stopped=5.0)]
