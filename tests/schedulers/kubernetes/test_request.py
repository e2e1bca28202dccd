"""What is asked of a cluster."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.components.dist import ddp
from xrun.errors import InvalidJob, InvalidValue
from xrun.schedulers.kubernetes import labels, request
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.schedulers.kubernetes.pod import escaped, expanded, resources
from xrun.schedulers.kubernetes.scheduler import create_scheduler
from xrun.specs.app import AppDef
from xrun.specs.identity import MAX_APP_ID
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.serialize import to_plain, yaml_to_plain
from xrun.testing.hostile import HOSTILE

GOLDEN = Path(__file__).parents[2] / "golden"
LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def sh(script: str = "true", name: str = "main", **fields: Any) -> Role:
    return Role(name, "image:1", "sh", ["-c", script], **fields)


def head(*roles: Role, app_id: str = "job-abcde", **options: Any) -> dict[str, Any]:
    app = AppDef("job", list(roles))
    made = request.build(app, KubernetesOptions(**options), app_id, f"kubernetes://default/{app_id}")
    return request.head(made)


def pod(*roles: Role, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = head(*roles, **options)["spec"]["template"]["spec"]
    return found


def main(*roles: Role, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod(*roles, **options)["containers"][0]
    return found


def refusal(*roles: Role, **options: Any) -> str:
    with pytest.raises(InvalidJob) as refused:
        head(*roles, **options)
    return str(refused.value)


# --- golden files --------------------------------------------------------------------------------------------------

TRAINER = sh("train", "trainer", num_replicas=2, max_retries=3, env={"A": "${replica_id}"}, port_map={"http": 80})
GOLDENS: dict[str, tuple[AppDef, dict[str, Any]]] = {
    "ddp": (ddp(script="/app/train.py", j="4x8", gpu=8, memMB=1024, image="image:1"), {}),
    "jobset": (
        AppDef("team", [TRAINER, sh("serve", "param.server", primary=False, max_retries=1)]),
        {"namespace": "research", "ttl": 3600, "max_runtime": 60},
    ),
    "kueue": (
        AppDef("queued", [sh("train", num_replicas=2, resource=Resource(cpu=0.5, memMB=512, devices={"a.io/nic": 2}))]),
        {"queue": "team", "queue_priority": "high", "topology_required": "rack", "priority_class": "batch"},
    ),
    "kueue_jobset": (
        AppDef("queued", [sh("train", num_replicas=2, resource=Resource(cpu=2)), sh("serve", "server")]),
        {"queue": "team", "queue_priority": "high", "topology_preferred": "rack"},
    ),
}


@pytest.mark.parametrize("name", list(GOLDENS))
def test_the_rendered_text(name: str) -> None:
    app, options = GOLDENS[name]
    text = str(create_scheduler().submit_dryrun(app, options, reproducible=True))
    path = GOLDEN / f"kubernetes_{name}.yaml"
    if os.environ.get("XRUN_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_a_thousand_replicas_are_one_small_template() -> None:
    scheduler = create_scheduler()
    app = ddp(script="/app/train.py", j="1000x8", gpu=8, image="registry/team/train:1")
    text = str(scheduler.submit_dryrun(app, {}, reproducible=True))
    assert len(text.encode()) <= 5120


def test_the_text_is_what_is_sent() -> None:
    app, options = GOLDENS["jobset"]
    scheduler = create_scheduler()
    info = scheduler.submit_dryrun(app, options, reproducible=True)
    assert yaml_to_plain(str(info)) == request.head(info.request)


@pytest.mark.parametrize(
    "text", ["y", "n", "Y", "0x1f", "1_000", "1e3", "0o7", "~", "null", "12:30:45", "<<", "=", "é\u2028😀"]
)
def test_texts_stay_texts(text: str) -> None:
    rendered = request.render(
        request.build(
            AppDef("a", [sh(env={"V": text})]), KubernetesOptions(), "a-abcde", "kubernetes://default/a-abcde"
        )
    )
    container = yaml_to_plain(rendered)["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "V", "value": text} in container["env"]


# --- kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "kind"),
    [
        ([sh()], "Job"),
        ([sh(max_retries=2, retry_policy=RetryPolicy.REPLICA)], "Job"),
        ([sh(num_replicas=3, min_replicas=2)], "Job"),
        ([sh(max_retries=2)], "JobSet"),
        ([sh(), sh(name="other")], "JobSet"),
    ],
)
def test_the_kind_follows_from_the_app(roles: list[Role], kind: str) -> None:
    assert head(*roles)["kind"] == kind


def test_a_kind_can_be_forced() -> None:
    assert head(sh(), kind="jobset")["kind"] == "JobSet"


def test_losses_and_retries_of_a_job() -> None:
    spec = head(sh(num_replicas=4, min_replicas=3, max_retries=2, retry_policy=RetryPolicy.REPLICA))["spec"]
    assert (spec["completions"], spec["parallelism"]) == (4, 4)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (2, 1)
    assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"


@pytest.mark.parametrize(
    ("fields", "kind", "attempt", "taken"),
    [
        ({}, "job", labels.FAILURES, False),
        ({}, "jobset", labels.RESTART, False),
        ({"max_retries": 1}, "auto", labels.RESTART, False),
        ({"max_retries": 1, "retry_policy": RetryPolicy.REPLICA}, "job", labels.FAILURES, True),
        ({"max_retries": 1, "retry_policy": RetryPolicy.REPLICA}, "jobset", labels.FAILURES, True),
    ],
)
def test_which_of_the_clusters_counts_are_the_attempt(
    fields: dict[str, Any], kind: str, attempt: str, taken: bool
) -> None:
    spec = head(sh(**fields), kind=kind)["spec"]
    job = spec["replicatedJobs"][0]["template"]["spec"] if "replicatedJobs" in spec else spec
    container = job["template"]["spec"]["containers"][0]
    fields_of = {v["name"]: v["valueFrom"]["fieldRef"]["fieldPath"] for v in container["env"] if "valueFrom" in v}
    assert fields_of["XRUN_ATTEMPT"] == f"metadata.annotations['{attempt}']"
    assert ("XRUN_TAKEN_AWAY" in fields_of) == taken
    assert ("exec" in " ".join(container["command"])) == taken


def test_without_retries_only_what_was_taken_away_is_counted() -> None:
    spec = head(sh())["spec"]
    assert spec["backoffLimitPerIndex"] == 1000
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Count", "FailIndex"]


def test_restarts_of_a_jobset() -> None:
    spec = head(sh(max_retries=2), sh(name="once"), max_runtime=5)["spec"]
    policy = spec["failurePolicy"]
    assert (policy["maxRestarts"], policy["restartStrategy"]) == (2, "BlockingRecreate")
    assert [(r["name"], r["action"]) for r in policy["rules"]] == [
        ("takenAway", "RestartJobSetAndIgnoreMaxRestarts"),
        ("maxRuntime", "FailJobSet"),
        ("noRetries", "FailJobSet"),
    ]
    assert policy["rules"][2]["targetReplicatedJobs"] == ["once"]
    jobs = [part["template"]["spec"] for part in spec["replicatedJobs"]]
    assert all(job["podFailurePolicy"]["rules"][0]["action"] == "FailJob" for job in jobs)
    assert all(job["activeDeadlineSeconds"] == 5 for job in jobs)


def test_a_role_that_is_not_primary_keeps_its_failures_inside() -> None:
    server = sh("serve", "server", primary=False, max_retries=2, retry_policy=RetryPolicy.REPLICA)
    spec = head(sh(), server)["spec"]
    assert spec["successPolicy"]["targetReplicatedJobs"] == ["main"]
    job = spec["replicatedJobs"][1]["template"]["spec"]
    container = job["template"]["spec"]["containers"][0]
    assert container["command"][:2] == ["sh", "-c"]
    assert container["command"][3:] == ["sh", "2"]
    assert container["args"] == ["sh", "-c", "serve"]
    assert job["backoffLimitPerIndex"] == 0


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ([sh(num_replicas=2, min_replicas=1), sh(name="b")], "min_replicas"),
        ([sh(max_retries=1), sh(name="b", max_retries=2)], "different ones"),
        ([sh(max_retries=1), sh(name="b", max_retries=1, retry_policy=RetryPolicy.REPLICA)], "restarts everything"),
        ([sh(), sh(name="b", primary=False, max_retries=1, num_replicas=2)], "retry_policy REPLICA"),
    ],
)
def test_combinations_that_no_object_can_do(roles: list[Role], said: str) -> None:
    assert "XR160" in refusal(*roles)
    assert said in refusal(*roles)


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique_by=lambda n: re.sub("[^a-z0-9]", "-", n.lower())),
    replicas=st.integers(1, 99_999),
    length=st.integers(7, MAX_APP_ID),
)
def test_any_role_gives_legal_names(names: list[str], replicas: int, length: int) -> None:
    app_id = "a" * (length - 6) + "-abcde"
    made = head(*(sh(name=n, num_replicas=replicas) for n in names), app_id=app_id, kind="jobset")
    parts = [part["name"] for part in made["spec"]["replicatedJobs"]]
    assert len(set(parts)) == len(names)
    for name in parts:
        pod_name = f"{app_id}-{name}-0-{replicas - 1}-abcde"
        assert LABEL.fullmatch(pod_name), pod_name
        assert LABEL.fullmatch(f"{app_id}-{name}-0")


def test_hosts() -> None:
    def host(made: dict[str, Any]) -> str:
        return next(str(v["value"]) for v in made["env"] if v["name"] == "XRUN_RANK0_HOST")

    assert host(main(sh())) == "job-abcde-0"
    assert host(main(sh(num_replicas=2))) == "job-abcde-0.job-abcde"
    parts = head(sh(), sh(name="b"))["spec"]["replicatedJobs"]
    both = [part["template"]["spec"]["template"]["spec"]["containers"][0] for part in parts]
    assert [host(c) for c in both] == ["job-abcde-main-0-0.job-abcde", "job-abcde-b-0-0.job-abcde"]
    assert {"name": "XRUN_RANK0_HOST_B", "value": "job-abcde-b-0-0.job-abcde"} in both[0]["env"]


def test_illegal_names_are_refused() -> None:
    assert "XR165" in refusal(sh(), namespace="Team_A")
    assert "XR165" in refusal(sh(), labels={"a b": "c"})
    assert "XR165" in refusal(sh(), node_selector={"a": "b c"})
    assert "XR165" in refusal(sh(resource=Resource(capabilities={"spot": ["a"]})))
    assert "XR165" in refusal(sh(resource=Resource(devices={"a b": 1})))


# --- values ----------------------------------------------------------------------------------------------------------


def kubernetes_expands(text: str, env: dict[str, str]) -> str:
    """What a kubelet makes of a text; see third_party/forked/golang/expansion in k8s.io/kubernetes."""
    return re.sub(r"\$(?:\$|\(([^)]*)\))", lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)


@pytest.mark.parametrize("text", [*HOSTILE, "$(HOME)", "$$(HOME)", "$$$(A)", "$", "$$", "a$$$$b", "$(A", "$(A)$(B)"])
def test_hostile_texts_arrive(text: str) -> None:
    env = {"HOME": "/root", "A": "1", "XRUN_REPLICA_ID": "7"}
    assert kubernetes_expands(escaped(text), env) == text
    values = {"app_id": "x", "num_replicas": "2", "img_root": ""}
    assert kubernetes_expands(expanded(text + "|${replica_id}$", values), env) == text + "|7$"


@settings(max_examples=1000, deadline=None)
@given(st.text(st.sampled_from("$(){}A a\n'\"\\é"), max_size=30))
def test_any_text_arrives(text: str) -> None:
    assert kubernetes_expands(escaped(text), {"A": "1"}) == text


def test_what_refers_to_the_replica_comes_after_it() -> None:
    names = [v["name"] for v in main(sh(env={"A": "${replica_id}"}))["env"]]
    assert names.index("XRUN_REPLICA_ID") < names.index("A")
    assert len(set(names)) == len(names)


def test_too_big() -> None:
    random = "".join(chr(0x4E00 + (i * 7919) % 20000) for i in range(40_000))
    assert "XR166" in refusal(sh(env={f"V{i}": random[i:] + str(i) for i in range(12)}))


def test_a_long_description_is_compressed() -> None:
    notes = head(sh(env={"V": "x" * 120_000}))["metadata"]["annotations"]
    assert len(notes["xrun.dev/spec"]) < 10_000
    assert json.loads(request.unpacked(notes["xrun.dev/spec"]))["roles"][0]["env"]["V"] == "x" * 120_000


# --- pods ------------------------------------------------------------------------------------------------------------


def test_resources() -> None:
    asked = Resource(cpu=1.5, gpu=2, memMB=64, devices={"vpc.amazonaws.com/efa": 4})
    limits = {"cpu": "1500m", "memory": "64Mi", "nvidia.com/gpu": 2, "vpc.amazonaws.com/efa": 4}
    assert resources(asked, KubernetesOptions()) == {"limits": limits}
    less = resources(asked, KubernetesOptions(cpu_overhead=0.5, mem_overhead_mb=14, gpu_resource="amd.com/gpu"))
    assert less["requests"]["cpu"] == "1"
    assert less["requests"]["memory"] == "50Mi"
    assert less["limits"]["amd.com/gpu"] == 2
    assert resources(Resource(), KubernetesOptions()) == {}


def test_mounts() -> None:
    mounts = [
        BindMount("/data/${app_id}", "/in", read_only=True),
        VolumeMount("claim", "/claim"),
        VolumeMount("configmap:settings", "/settings"),
        VolumeMount("secret:keys", "/keys"),
        VolumeMount("emptydir:memory:8Gi", "/fast"),
        DeviceMount("/dev/fuse", "/dev/fuse"),
    ]
    found = pod(sh(mounts=list(mounts), resource=Resource(memMB=64)), privileged=True)
    assert [{k: v for k, v in volume.items() if k != "name"} for volume in found["volumes"]] == [
        {"hostPath": {"path": "/data/job-abcde"}},
        {"persistentVolumeClaim": {"claimName": "claim"}},
        {"configMap": {"name": "settings"}},
        {"secret": {"secretName": "keys"}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}},
        {"hostPath": {"path": "/dev/fuse"}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]
    places = found["containers"][0]["volumeMounts"]
    assert places[0] == {"name": "mount-0", "mountPath": "/in", "readOnly": True}
    assert places[-1]["mountPath"] == "/dev/shm"
    assert found["containers"][0]["securityContext"] == {"privileged": True}


def test_secrets_are_references() -> None:
    role = sh(secrets={"A": "env:HOME", "B": "k8s:keys/main"})
    found = {v["name"]: v.get("valueFrom", {}).get("secretKeyRef") for v in main(role)["env"]}
    assert found["A"] == {"name": "job-abcde", "key": "0.A"}
    assert found["B"] == {"name": "keys", "key": "main"}


def test_options() -> None:
    found = pod(
        sh(resource=Resource(capabilities={"node.kubernetes.io/instance-type": "p4d.24xlarge", "gpu": True})),
        service_account="trainer",
        priority_class="high",
        scheduler_name="mine",
        node_selector={"zone": "a"},
        tolerations=["gpu=yes:NoSchedule", "spot:NoExecute", "*"],
        image_pull_secrets=["registry"],
        run_as_user=1000,
        run_as_group=100,
        fs_group=0,
        share_processes=False,
        image_pull_policy="Always",
    )
    assert found["serviceAccountName"] == "trainer"
    assert found["priorityClassName"] == "high"
    assert found["schedulerName"] == "mine"
    assert found["nodeSelector"] == {
        "zone": "a",
        "node.kubernetes.io/instance-type": "p4d.24xlarge",
        "gpu": "true",
    }
    assert found["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
        {"operator": "Exists"},
    ]
    assert found["imagePullSecrets"] == [{"name": "registry"}]
    context = {"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 0, "runAsNonRoot": True}
    assert found["securityContext"] == context
    assert "shareProcessNamespace" not in found
    assert found["containers"][0]["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_overhead": float("nan")},
        {"shm_mb": -1},
        {"ttl": -2},
        {"topology_required": "a", "topology_preferred": "b"},
    ],
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        KubernetesOptions(**wrong)


def test_nothing_reaches_processes_of_the_node() -> None:
    overlay = {"spec": {"hostPID": True}}
    app = AppDef("a", [sh()])
    made = request.build(app, KubernetesOptions(), "a-abcde", "kubernetes://default/a-abcde", [[overlay]])
    found = request.head(made)["spec"]["template"]["spec"]
    assert found["hostPID"]
    assert "shareProcessNamespace" not in found
    assert "lifecycle" not in found["containers"][0]


def test_an_overlay_of_a_role_comes_after_that_of_all(tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text("spec: {hostNetwork: true, priority: 1}\nmetadata: {labels: {a: b}}\n")
    role = sh(metadata={"kubernetes": {"spec": {"priority": 2}}})
    info = create_scheduler().submit_dryrun(AppDef("a", [role]), {"overlay": str(path)})
    template = request.head(info.request)["spec"]["template"]
    assert (template["spec"]["hostNetwork"], template["spec"]["priority"]) == (True, 2)
    assert template["metadata"]["labels"]["a"] == "b"


@pytest.mark.parametrize("given_", ["nowhere.yaml", ["a"], {"containers": []}])
def test_overlays_that_are_none(given_: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidValue, match="overlay: main") as wrong:
        create_scheduler().submit_dryrun(AppDef("a", [sh(metadata={"kubernetes": given_})]), {})
    assert wrong.value.code == "XR164"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec: null", "mappings too"),
        ("spec: {hostPID: true, containers: null}", "main, has to stay"),
        ("spec: {hostPID: true, containers: [1]}", "main, has to stay"),
        ("spec: {containers: [{$patch: replace}, {name: main}, 1]}", "main, has to stay|each of containers"),
        ("spec: {containers: [{name: main, $patch: delete}]}", "main, has to stay"),
        ("spec: &a {affinity: *a}", "no JSON can hold it"),
        ("metadata: {annotations: {day: 2024-01-01}}", "quote dates"),
        ("spec: {priority: .nan}", "no JSON can hold it"),
        ("metadata: {labels: null}", "xrun's own"),
        ("metadata: null", "mappings too"),
        ("metadata: {labels: {xrun.dev/app-id: other}}", "xrun's own"),
        ("metadata: {labels: {xrun.dev/role: other}}", "xrun's own"),
        ("metadata: {labels: {xrun.dev/more: '1'}}", "xrun's own"),
    ],
)
def test_overlays_that_break_a_pod(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_text(text)
    with pytest.raises(InvalidValue, match=said) as wrong:
        str(create_scheduler().submit_dryrun(AppDef("a", [sh()]), {"overlay": str(path)}))
    assert wrong.value.code == "XR164"


@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_labels_of_xruns_own(where: str) -> None:
    with pytest.raises(InvalidJob, match="xrun's own"):
        create_scheduler().submit_dryrun(AppDef("a", [sh()]), {where: {"xrun.dev/app-id": "b"}})


def test_the_namespace_is_a_part_of_the_id() -> None:
    info = create_scheduler().submit_dryrun(AppDef("a", [sh()]), {"namespace": "team"})
    assert re.fullmatch(r"team:a-[a-z0-9]{5}", info.app_id)
    made = request.head(info.request)
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("team", info.app_id.partition(":")[2])


def test_the_caller_is_not_changed() -> None:
    app, options = GOLDENS["jobset"]
    before = to_plain(app)
    create_scheduler().submit_dryrun(app, options)
    assert to_plain(app) == before
