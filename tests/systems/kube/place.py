"""The folder of one cluster: where its files lie and which ports it has."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

USUAL_NETWORK = "10.214"

NODE = "node-1"

_PORTS = ("etcd", "etcd-peer", "api", "webhook", "containerd", "kubelet-health", "controllers", "scheduler", "kwok")


class Place:
    """A cluster's folder.

    Args:
        folder: its path must be short, since sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def is_made(self) -> bool:
        """Whether a cluster was made here."""
        return (self / "network").exists()

    @cached_property
    def ports(self) -> dict[str, int]:
        """Name -> port on 127.0.0.1; chosen once, so that whoever knew the cluster finds it after a restart."""
        file = self / "ports.json"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(_free_ports(self.network)))
        found: dict[str, int] = json.loads(file.read_text())
        return found

    @cached_property
    def network(self) -> str:
        """The first 16 bits of the pods' addresses; clusters of different networks can be up side by side."""
        file = self / "network"
        if not file.exists():
            self.write("network", os.environ.get("XRUN_KUBERNETES_NETWORK") or USUAL_NETWORK)
        return file.read_text()

    @property
    def address(self) -> str:
        """Of the node, on the bridge: the kubelet and the name server listen there."""
        return f"{self.network}.0.1"

    @property
    def bridge(self) -> str:
        """The bridge that pods hang on, and what else on the machine is named after it."""
        return bridge_of(self.network)

    @cached_property
    def token(self) -> str:
        """Of who may do everything."""
        file = self / "pki" / "tokens.csv"
        if not file.exists():
            self.write("pki/tokens.csv", f"{secrets.token_hex(16)},xrun-admin,xrun-admin,system:masters\n")
            file.chmod(0o600)
        return file.read_text().partition(",")[0]

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def authority(self) -> Path:
        """The certificate that the API server shows, which it made itself."""
        return self / "pki" / "apiserver.crt"

    @property
    def kubeconfig(self) -> Path:
        """For whoever may do everything."""
        return self / "admin.kubeconfig"

    def write(self, name: str, data: Any) -> Path:
        """Writes a file: text as it is, all else as JSON, which every reader of YAML reads."""
        path = self / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data, indent=1))
        return path

    def write_kubeconfig(self, name: str, token: str, namespace: str = "default") -> Path:
        """A kubeconfig for who has a token."""
        path = self.write(
            name,
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "xrun",
                "clusters": [
                    {"name": "xrun", "cluster": {"server": self.server, "certificate-authority": str(self.authority)}}
                ],
                "users": [{"name": "xrun", "user": {"token": token}}],
                "contexts": [{"name": "xrun", "context": {"cluster": "xrun", "user": "xrun", "namespace": namespace}}],
            },
        )
        path.chmod(0o600)
        return path


def bridge_of(network: str) -> str:
    """The bridge of a network."""
    return f"xrun-k{network}"


def _free_ports(network: str) -> dict[str, int]:
    """Ports of its network's own, below those that the kernel gives to anybody and those that xrun and Slurm choose.

    So no other cluster takes one before it is used, and nobody while a part is restarted.
    """
    first = 4800 + 20 * int(network.rpartition(".")[2])
    free = [port for port in range(first, first + 20) if _is_free(port)]
    return dict(zip(_PORTS, free[: len(_PORTS)], strict=True))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
