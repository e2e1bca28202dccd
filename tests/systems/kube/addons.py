"""What is added to a plain cluster: JobSets, and nodes with GPUs that are only played."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

from tests.systems.kube.control import api, as_list, kubectl
from tests.systems.kube.place import Place
from tests.systems.kube.processes import start, wait_for
from tests.systems.kube.programs import PARTS, find

FAKE = "kwok.x-k8s.io/node"
"""Annotation and taint of a node that is played."""

INSTANCE = "node.kubernetes.io/instance-type"

LASTS = "pod-complete.stage.kwok.x-k8s.io/delay"
"""Annotation of a pod on such a node: how long it runs, as ``10m`` (without it 1 to 5 seconds)."""


def start_jobset(place: Place) -> None:
    """JobSet's controller, outside of the cluster, and its webhooks by address instead of by Service."""
    certificates = place / "jobset"
    certificates.mkdir(exist_ok=True)
    # the API server made a certificate for 127.0.0.1, and that is where this one listens too
    shutil.copyfile(place.authority, certificates / "tls.crt")
    shutil.copyfile(place.authority.with_suffix(".key"), certificates / "tls.key")
    config = place.write(
        "jobset/config.json",
        {
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "webhook": {"port": place.ports["webhook"], "certDir": str(certificates)},
            "metrics": {"bindAddress": "0"},
            "health": {"healthProbeBindAddress": "0"},
            "clientConnection": {"qps": 500, "burst": 1000},
        },
    )
    kubectl(place, "apply", "--server-side", "--filename", str(PARTS["jobset"].folder / "bases"))
    wait_for(place, "api-server", lambda: api(place, "/apis/jobset.x-k8s.io/v1alpha2"))
    start(place, "jobset", [find("jobset"), f"--config={config}", f"--kubeconfig={place.kubeconfig}"])
    kubectl(place, "apply", "--server-side", "--filename=-", stdin=json.dumps(as_list(list(_webhooks(place)))))


def takes_jobsets(place: Place) -> bool:
    """Whether a JobSet would be taken: its controller's webhooks answer."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}
    job = {"name": "main", "template": {"spec": {"template": {"spec": pod}}}}
    probe = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "probe"},
        "spec": {"replicatedJobs": [job]},
    }
    with contextlib.suppress(RuntimeError):
        kubectl(place, "create", "--dry-run=server", "--filename=-", stdin=json.dumps(probe))
        return True
    return False


def start_kwok(place: Place) -> None:
    """What plays nodes and their pods; pods run as long as an annotation of theirs says."""
    folder = PARTS["kwok"].folder
    stages = [folder / "fast/pod-ready.yaml", folder / "fast/pod-delete.yaml", folder / "general/pod-complete.yaml"]
    config = place.write("kwok/stages.yaml", "\n---\n".join(path.read_text() for path in stages))
    start(
        place,
        "kwok",
        [
            find("kwok"),
            f"--kubeconfig={place.kubeconfig}",
            f"--config={config}",
            "--manage-all-nodes=false",
            f"--manage-nodes-with-annotation-selector={FAKE}=fake",
            # a lease renewed every ten seconds; without one a node is heard of more seldom than `LOST_AFTER`
            "--node-lease-duration-seconds=40",
            "--node-ip=127.0.0.1",
            f"--node-port={place.ports['kwok']}",
        ],
    )


def add_nodes(place: Place, count: int, gpus: int = 8) -> list[str]:
    """Adds nodes that are played; only pods that tolerate their taint, `FAKE`, come there.

    Args:
        place: the cluster.
        count: how many nodes there shall be in all.
        gpus: of each.
    """
    room = {"cpu": "64", "memory": "512Gi", "pods": "500", "ephemeral-storage": "1Ti", "nvidia.com/gpu": str(gpus)}
    names = [f"fake-{k}" for k in range(count)]
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {FAKE: "fake"},
                "labels": {FAKE: "fake", "kubernetes.io/hostname": name, INSTANCE: "played-gpu"},
            },
            "spec": {"taints": [{"key": FAKE, "value": "fake", "effect": "NoSchedule"}]},
            "status": {"allocatable": room, "capacity": room},
        }
        for name in names
    ]
    # a new node has taints of the controllers' for a moment, which are not ours to keep
    words = ["--server-side", "--force-conflicts", "--filename=-"]
    kubectl(place, "apply", *words, stdin=json.dumps(as_list(nodes)))
    kubectl(place, "wait", "--for=condition=Ready", "--timeout=60s", *(f"node/{name}" for name in names))
    return names


def remove_nodes(place: Place) -> None:
    """Removes them all."""
    kubectl(place, "delete", "node", "--selector", f"{FAKE}=fake", "--wait=true")


def _webhooks(place: Place) -> Iterator[dict[str, Any]]:
    """JobSet's webhooks, at its controller's address; those for pods look at JobSets' pods alone."""
    authority = base64.b64encode(place.authority.read_bytes()).decode()
    file = PARTS["jobset"].folder / "manifests.yaml"
    # kubectl makes JSON of the YAML that Python can't read by itself
    text = kubectl(place, "annotate", "--local", "--filename", str(file), "xrun.dev/for=tests", "--output=json")
    for configuration in _each(text):
        for hook in configuration["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            url = f"https://127.0.0.1:{place.ports['webhook']}{path}"
            hook["clientConfig"] = {"url": url, "caBundle": authority}
            if path.endswith("-pod"):
                only = {"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}
                hook["objectSelector"] = {"matchExpressions": [only]}
        yield configuration


def _each(text: str) -> Iterator[dict[str, Any]]:
    """JSON values that follow each other, or a list of them."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        yield from value["items"] if value.get("kind") == "List" else [value]
        text = text[end:]
