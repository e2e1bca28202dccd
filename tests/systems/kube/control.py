"""The control plane: etcd, API server, controllers and scheduler."""

from __future__ import annotations

import ssl
import subprocess
import urllib.error
import urllib.request
from typing import Any

from tests.systems.kube.place import Place
from tests.systems.kube.processes import start, wait_for
from tests.systems.kube.programs import find

LOST_AFTER = "20s"
"""A node that says nothing for so long is lost (Kubernetes' default is 50 s)..."""

EVICTED_AFTER = 10
"""...and so many seconds later its pods are evicted (Kubernetes' default is 300)."""


def start_etcd(place: Place) -> None:
    """The store; nothing is kept for longer than the cluster lives, so nothing is synchronised to disk."""
    client, peer = (f"http://127.0.0.1:{place.ports[name]}" for name in ("etcd", "etcd-peer"))
    command = [find("etcd"), "--data-dir", str(place / "etcd"), "--unsafe-no-fsync", "--log-level=warn"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}"]
    start(place, "etcd", command)
    wait_for(place, "etcd", lambda: b"true" in ask(f"{client}/health"))


def start_api_server(place: Place) -> None:
    """The API server; a token in a file lets us in, and service accounts' tokens others."""
    key = place / "pki" / "service-accounts.key"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        make = [find("openssl"), "ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", str(key)]
        subprocess.run(make, check=True, capture_output=True)
    start(
        place,
        "api-server",
        [
            find("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{place.ports['etcd']}",
            f"--secure-port={place.ports['api']}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={place / 'pki'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={place / 'pki/tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            "--endpoint-reconciler-type=none",
            # Debian's etcd can't do what it needs; clients that prefer it would try again and again
            "--feature-gates=WatchList=false",
            # a node's name is known to nobody here
            "--kubelet-preferred-address-types=InternalIP",
            f"--default-not-ready-toleration-seconds={EVICTED_AFTER}",
            f"--default-unreachable-toleration-seconds={EVICTED_AFTER}",
        ],
    )


def await_api_server(place: Place) -> None:
    """Waits until the API server answers."""
    wait_for(place, "api-server", lambda: place.authority.exists() and api(place, "/readyz") == b"ok")


def start_controllers(place: Place) -> None:
    """What makes pods of Jobs, and much else."""
    key = place / "pki" / "service-accounts.key"
    start(
        place,
        "controllers",
        [
            find("kube-controller-manager"),
            *_common(place, "controllers"),
            f"--service-account-private-key-file={key}",
            f"--root-ca-file={place.authority}",
            "--allocate-node-cidrs=false",
            f"--flex-volume-plugin-dir={place / 'kubelet/plugins'}",
            f"--node-monitor-grace-period={LOST_AFTER}",
            "--concurrent-job-syncs=20",
        ],
    )


def start_scheduler(place: Place) -> None:
    """What gives pods a node."""
    start(place, "scheduler", [find("kube-scheduler"), *_common(place, "scheduler")])


def _common(place: Place, name: str) -> list[str]:
    flags = [f"--kubeconfig={place.kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1"]
    return [*flags, f"--secure-port={place.ports[name]}", "--kube-api-qps=500", "--kube-api-burst=1000"]


def api(place: Place, path: str) -> bytes:
    """What the API server answers to who may do everything; nothing if it can't be reached or refuses."""
    trusted = ssl.create_default_context(cafile=str(place.authority))
    return ask(f"{place.server}{path}", context=trusted, headers={"Authorization": f"Bearer {place.token}"})


def ask(url: str, *, context: ssl.SSLContext | None = None, headers: dict[str, str] | None = None) -> bytes:
    """What an address answers; nothing if it doesn't."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=5) as answer:
            body: bytes = answer.read()
            return body
    except (OSError, urllib.error.URLError):
        return b""


def kubectl(place: Place, *words: str, stdin: str = "") -> str:
    """What kubectl says.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    command = [find("kubectl"), f"--kubeconfig={place.kubeconfig}", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def as_list(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Several objects as one, for kubectl."""
    return {"apiVersion": "v1", "kind": "List", "items": objects}
