"""The node: containerd and the kubelet."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from tests.systems.kube import groups, images, network
from tests.systems.kube.place import NODE, Place
from tests.systems.kube.processes import start, wait_for
from tests.systems.kube.programs import CNI, find

_RUNTIME = """version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  # a machine may lack the right to let a process be killed later than others
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "{port}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
"""


def start_runtime(place: Place) -> None:
    """containerd on a socket of its own, so that a docker engine's is left alone, with our images."""
    text = _RUNTIME.format(folder=place.folder, pause=images.PAUSE, port=place.ports["containerd"], cni=CNI)
    config = place.write("containerd/config.toml", text)
    network.configure(place)
    new = not (place / "containerd.sock").exists()
    start(place, "containerd", [find("containerd"), "--config", str(config), "--log-level", "warn"])
    wait_for(place, "containerd", lambda: _answers(place / "containerd.sock"))
    if new:
        images.add_all(place)


def start_kubelet(place: Place) -> None:
    """The kubelet; it runs beside whatever else the machine does, so it evicts late."""
    resolv = place.write("kubelet/resolv.conf", "")
    config = place.write(
        "kubelet/config.json",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": place.address,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": place.ports["kubelet-health"],
            "containerRuntimeEndpoint": f"unix://{place / 'containerd.sock'}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": groups.make(place),
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [place.address],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolv),
            "podLogsDir": str(place / "kubelet/logs"),
            "volumePluginDir": str(place / "kubelet/plugins"),
            # there is no kube-proxy that would need them
            "makeIPTablesUtilChains": False,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
                "imagefs.inodesFree": "1%",
            },
            # images can't be pulled again
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "maxPods": 300,
            "serializeImagePulls": False,
            "kubeAPIQPS": 500,
            "kubeAPIBurst": 1000,
            "eventRecordQPS": 0,
        },
    )
    command = [find("kubelet"), f"--config={config}", f"--kubeconfig={place.kubeconfig}"]
    command += [f"--hostname-override={NODE}", f"--node-ip={place.address}", f"--root-dir={place / 'kubelet/root'}"]
    command += [f"--cert-dir={place / 'kubelet/pki'}"]
    start(place, "kubelet", command)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False
