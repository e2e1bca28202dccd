"""The cluster does what real ones do, as far as tests count on it."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import pytest

from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import KubernetesSystem, create, get, group, kubectl, until

pytestmark = [group("verbs"), pytest.mark.timeout(180)]


def container(script: str, image: str = cluster.BUSYBOX, **fields: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        **fields,
    }


def pod_spec(script: str, **fields: Any) -> dict[str, Any]:
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "enableServiceLinks": False}
    return {**spec, "containers": [container(script, **fields.pop("container", {}))], **fields}


def pod(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(script, **fields)}


def job(name: str, script: str, replicas: int = 1, **fields: Any) -> dict[str, Any]:
    template = {"metadata": fields.pop("metadata", {}), "spec": pod_spec(script, **fields)}
    spec = {"completionMode": "Indexed", "completions": replicas, "parallelism": replicas, "backoffLimit": 0}
    about = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}
    return {**about, "spec": {**spec, "template": template}}


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class On:
    """One namespace of the cluster."""

    def __init__(self, system: KubernetesSystem, namespace: str) -> None:
        self.system, self.namespace = system, namespace

    def create(self, *objects: dict[str, Any]) -> None:
        create(self.system, self.namespace, *objects)

    def kubectl(self, *words: str, **options: Any) -> str:
        return kubectl(self.system, "-n", self.namespace, *words, **options)

    def get(self, *words: str) -> Any:
        return get(self.system, "-n", self.namespace, *words)

    def log(self, name: str) -> str:
        """What can be read now; nothing if nothing can."""
        with suppress(AssertionError):
            return self.kubectl("logs", name)
        return ""

    def container(self, name: str) -> dict[str, Any]:
        found = self.get("pod", name)["status"].get("containerStatuses", [{}])[0].get("state", {})
        return dict(found)

    def waits(self, name: str, reason: str) -> dict[str, Any]:
        def waiting() -> Any:
            state = self.container(name).get("waiting", {})
            return state if state.get("reason") in reason.split("|") else None

        return dict(until(waiting))

    def ended(self, name: str) -> dict[str, Any]:
        return dict(until(lambda: self.container(name).get("terminated")))

    def events(self, name: str, reason: str) -> str:
        def found() -> str:
            events = self.get("events", f"--field-selector=involvedObject.name={name},reason={reason}")["items"]
            return str(events[0]["message"]) if events else ""

        return str(until(found))


@pytest.fixture
def on(kubernetes_system: KubernetesSystem, kubernetes_namespace: str) -> On:
    return On(kubernetes_system, kubernetes_namespace)


def test_pods_of_an_indexed_job_find_each_other_by_name(on: On) -> None:
    other = "j-$((1 - JOB_COMPLETION_INDEX)).j"
    script = f"until ping -c 1 -W 1 {other}; do sleep 0.2; done; sleep 2; echo $HOSTNAME met {other}"
    on.create(job("j", script, 2, subdomain="j"), service("j", {"batch.kubernetes.io/job-name": "j"}))
    on.kubectl("wait", "--for=condition=Complete", "--timeout=60s", "job/j")
    logs = on.kubectl("logs", "--selector=batch.kubernetes.io/job-name=j", "--tail=1")
    assert sorted(logs.splitlines()) == ["j-0 met j-1.j", "j-1 met j-0.j"]


def test_a_jobset_of_two_roles(on: On) -> None:
    script = "until ping -c 1 -W 1 s-main-0-0.s && ping -c 1 -W 1 s-side-0-1.s; do sleep 0.2; done; sleep 2"
    roles = [{"name": name, "template": {"spec": job("", script, n)["spec"]}} for name, n in (("main", 1), ("side", 2))]
    about = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "s"}}
    on.create({**about, "spec": {"replicatedJobs": roles}})
    on.kubectl("wait", "--for=condition=Completed", "--timeout=60s", "jobset/s")
    assert on.get("jobset", "s")["status"]["terminalState"] == "Completed"


def test_jobsets_are_checked(on: On) -> None:
    about = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "x" * 60}}
    one = {"name": "main", "template": {"spec": job("", "true", 1)["spec"]}}
    wrong = json.dumps({**about, "spec": {"replicatedJobs": [one]}})
    assert "will exceed 63 characters" in on.kubectl("create", "-f", "-", stdin=wrong, code=1)


def test_exit_codes_and_logs(on: On) -> None:
    on.create(pod("p", "echo out; echo err >&2; exit 7"))
    ended = on.ended("p")
    assert (ended["exitCode"], ended["reason"]) == (7, "Error")
    assert sorted(on.kubectl("logs", "p").split()) == ["err", "out"]


def test_a_container_that_takes_too_much_memory_is_killed(on: On) -> None:
    limits = {"resources": {"limits": {"memory": "20Mi"}}}
    on.create(pod("p", "tail /dev/zero", container=limits))
    ended = on.ended("p")
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_an_image_that_is_nowhere(on: On) -> None:
    on.create(pod("p", "true", container={"image": "localhost:1/none:1"}))
    assert "localhost:1/none:1" in on.waits("p", "ErrImagePull|ImagePullBackOff")["message"]
    on.create(pod("q", "true", container={"image": "none:1", "imagePullPolicy": "Never"}))
    assert "not present" in on.waits("q", "ErrImageNeverPull")["message"]


def test_the_machines_own_python_runs_in_a_pod(on: On) -> None:
    folders = cluster.host_folders()
    mounts = [{"name": f"v{k}", "mountPath": path, "readOnly": True} for k, path in enumerate(folders)]
    volumes = [{"name": f"v{k}", "hostPath": {"path": path}} for k, path in enumerate(folders)]
    command = [sys.executable, "-c", "import click, xrun; print(xrun.__name__)"]
    on.create(
        pod("p", "", container={"image": cluster.HOST, "command": command, "volumeMounts": mounts}, volumes=volumes)
    )
    assert on.ended("p")["exitCode"] == 0, on.kubectl("logs", "p")
    assert on.kubectl("logs", "p") == "xrun\n"


def gpu_job(name: str, replicas: int) -> dict[str, Any]:
    return job(
        name,
        "",
        replicas,
        tolerations=[{"key": cluster.FAKE, "operator": "Exists"}],
        nodeSelector={cluster.FAKE: "fake"},
        container={"resources": {"limits": {"nvidia.com/gpu": "8"}}},
        metadata={"annotations": {cluster.LASTS: "1h"}},
    )


def test_played_nodes_have_gpus_and_run_out_of_them(on: On) -> None:
    with cluster.played_nodes(on.system, 4) as nodes:
        on.create(gpu_job("fits", 4))
        until(lambda: on.get("job", "fits")["status"].get("ready") == 4)
        pods = on.get("pods")["items"]
        assert sorted(p["spec"]["nodeName"] for p in pods) == nodes
        on.create(gpu_job("waits", 1))
        (waiting,) = until(lambda: on.get("pods", "--selector=batch.kubernetes.io/job-name=waits")["items"])
        message = on.events(waiting["metadata"]["name"], "FailedScheduling")
        assert "0/5 nodes are available" in message and "4 Insufficient nvidia.com/gpu" in message
        on.kubectl("delete", "job", "fits", "--cascade=foreground")
        until(lambda: on.get("job", "waits")["status"].get("ready") == 1)


def test_a_full_quota(on: On) -> None:
    on.kubectl("create", "quota", "small", "--hard=pods=1")
    on.create(pod("p", "sleep 60"))
    second = json.dumps(pod("q", "true"))
    assert "exceeded quota: small" in on.kubectl("create", "-f", "-", stdin=second, code=1)


def test_an_account_may_do_what_it_was_given(on: On) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    limited = cluster.account(on.system, on.namespace, rules)
    assert kubectl(on.system, "get", "pods", "--output=name", kubeconfig=limited) == ""
    refusal = kubectl(on.system, "get", "jobs", kubeconfig=limited, code=1)
    assert "cannot list resource" in refusal and on.namespace in refusal


def test_pods_outlive_the_api_server_and_the_kubelet(on: On) -> None:
    on.create(pod("p", "trap 'exit 5' TERM; echo ready; sleep 60 & wait"))
    until(lambda: "running" in on.container("p"))

    def away() -> None:
        assert "refused" in on.kubectl("get", "pods", code=1)

    cluster.restart(on.system, "api-server", away)
    assert "running" in on.container("p")
    cluster.restart(on.system, "kubelet")
    # it has to look first what there is
    until(lambda: "ready" in on.log("p"))
    assert on.get("pod", "p")["status"]["containerStatuses"][0]["restartCount"] == 0
