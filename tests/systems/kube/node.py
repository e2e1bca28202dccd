"""The node: containerd, the pods' network, the kubelet and the name server, and what they leave on the machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.systems.kube import images
from tests.systems.kube.place import ADDRESS, BRIDGE, NETWORK, NODE, Place
from tests.systems.kube.processes import NotUp, end, pid_of, start, stop, wait_for
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

_NAMES = """.:53 {{
  bind {address}
  kubernetes cluster.local {{
    kubeconfig {kubeconfig} xrun
    pods insecure
    ttl 1
  }}
  errors
}}
"""


def start_runtime(place: Place) -> None:
    """containerd on a socket of its own, so that a docker engine's is left alone, with our images."""
    text = _RUNTIME.format(folder=place.folder, pause=images.PAUSE, port=place.ports["containerd"], cni=CNI)
    config = place.write("containerd/config.toml", text)
    place.write("cni/10-xrun.conflist", _network(place))
    new = not (place / "containerd.sock").exists()
    start(place, "containerd", [find("containerd"), "--config", str(config), "--log-level", "warn"])
    wait_for(place, "containerd", lambda: _answers(place / "containerd.sock"))
    if new:
        images.add_all(place)


def start_network() -> None:
    """The bridge that pods hang on; the machine has the first address on it."""
    ip = find("ip")
    if subprocess.run([ip, "link", "show", BRIDGE], capture_output=True, check=False).returncode:
        for words in (
            ["link", "add", BRIDGE, "type", "bridge"],
            ["addr", "add", f"{ADDRESS}/16", "dev", BRIDGE],
            ["link", "set", BRIDGE, "up"],
        ):
            done = subprocess.run([ip, *words], capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotUp(f"ip {' '.join(words)}: {done.stderr.strip()}")


def start_kubelet(place: Place) -> None:
    """The kubelet; it runs beside whatever else the machine does, so it evicts late."""
    resolv = place.write("kubelet/resolv.conf", "")
    config = place.write(
        "kubelet/config.json",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": place.ports["kubelet-health"],
            "containerRuntimeEndpoint": f"unix://{place / 'containerd.sock'}",
            "cgroupDriver": "cgroupfs",
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolv),
            "podLogsDir": str(place / "kubelet/logs"),
            "volumePluginDir": str(place / "kubelet/plugins"),
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
    command += [f"--hostname-override={NODE}", f"--node-ip={ADDRESS}", f"--root-dir={place / 'kubelet/root'}"]
    command += [f"--cert-dir={place / 'kubelet/pki'}"]
    start(place, "kubelet", command)


def start_names(place: Place) -> None:
    """The name server of the pods."""
    text = _NAMES.format(address=ADDRESS, kubeconfig=place.kubeconfig)
    config = place.write("coredns/Corefile", text)
    start(place, "coredns", [find("coredns"), "-conf", str(config)])


def names_answer() -> bool:
    """Whether the name server knows the cluster's services."""
    name = b"".join(bytes([len(word)]) + word for word in b"kubernetes.default.svc.cluster.local".split(b"."))
    question = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.settimeout(0.5)
        probe.connect((ADDRESS, 53))
        probe.send(question)
        answer = probe.recv(512)
        # no error, and one answer at least
        return not answer[3] & 15 and answer[6:8] != b"\x00\x00"
    return False


def refuse_another(place: Place) -> None:
    """Refuses to start beside another kubelet, whose pods ours would take for leftovers.

    Args:
        place: a cluster that runs already is not another.

    Raises:
        NotUp: there is one.
    """
    for group in [] if pid_of(place, "kubelet") else _groups():
        for file in group.rglob("cgroup.procs"):
            if file.read_text().strip():
                raise NotUp(f"another kubelet runs pods on this machine ({file.parent}); only one can")


def clean(place: Place) -> None:
    """Ends all containers, containerd, and removes everything that the node put outside of the folder."""
    stop(place, "kubelet")
    if pid_of(place, "containerd"):
        with contextlib.suppress(RuntimeError):
            tasks = images.ctr(place, "tasks", "ls", "--quiet").split()
            if tasks:
                images.ctr(place, "tasks", "rm", "--force", *tasks)
    stop(place, "containerd")
    for pid in _shims(place):
        end(pid)
    for point in sorted(_mounts(place), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    subprocess.run([find("ip"), "link", "del", BRIDGE], capture_output=True, check=False)
    _remove_groups()
    for path in Path("/var/lib/cni/results").glob("xrun-kube-*"):
        path.unlink(missing_ok=True)
    for path in Path("/var/log/containers").glob("*"):
        if path.is_symlink() and os.readlink(path).startswith(f"{place.folder}/"):
            path.unlink()


def _network(place: Place) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": f"{NETWORK}.0.0/16", "gateway": ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(place / "cni/addresses"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "xrun-kube", "plugins": [bridge, ports]}


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _shims(place: Place) -> list[int]:
    """The processes that hold our containers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and os.fsencode(place / "containerd.sock") in words:
                found.append(int(folder.name))
    return found


def _mounts(place: Place) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{place.folder}/")]


def _groups() -> list[Path]:
    """The pods' control groups; one in each hierarchy where there are several."""
    base = Path("/sys/fs/cgroup")
    return [group for group in (base / "kubepods", *base.glob("*/kubepods")) if group.is_dir()]


def _remove_groups() -> None:
    for group in _groups():
        until = time.monotonic() + 10
        while group.exists() and time.monotonic() < until:
            for file in group.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    for pid in file.read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
            # a group whose last process has just ended is busy for a moment
            for folder in [*sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True), group]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def left(place: Place) -> list[str]:
    """What there still is of a cluster that was ended."""
    found = [f"mount {point}" for point in _mounts(place)] + [f"control group {group}" for group in _groups()]
    found += [f"bridge {BRIDGE}"] * Path("/sys/class/net", BRIDGE).exists()
    return found + [f"process {pid}" for pid in _shims(place)]
