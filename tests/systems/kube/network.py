"""The pods' network: a bridge that they hang on, and a name server."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from tests.systems.kube.place import ADDRESS, BRIDGE, NETWORK, Place
from tests.systems.kube.processes import NotUp, start
from tests.systems.kube.programs import find

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


def start_network(place: Place) -> None:
    """The bridge that pods hang on, with the cluster's name on it; the machine has the first address there.

    Raises:
        NotUp: another cluster of ours is up.
    """
    if other := owner():
        if other != str(place.folder):
            hint = f"use it (export XRUN_KUBERNETES={other}) or end it (tests/systems/kubernetes down {other})"
            raise NotUp(f"a host has room for one cluster, and {other} is up; {hint}")
        return
    ip = find("ip")
    for words in (
        ["link", "add", BRIDGE, "type", "bridge"],
        ["link", "set", "dev", BRIDGE, "alias", str(place.folder)],
        ["addr", "add", f"{ADDRESS}/16", "dev", BRIDGE],
        ["link", "set", BRIDGE, "up"],
    ):
        done = subprocess.run([ip, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotUp(f"ip {' '.join(words)}: {done.stderr.strip()}")
    _forward("--insert")


def stop_network(place: Place) -> None:
    """Removes the bridge, and with it its address, if it is this cluster's."""
    if owner() == str(place.folder):
        _forward("--delete")
        subprocess.run([find("ip"), "link", "del", BRIDGE], capture_output=True, check=False)


def owner() -> str:
    """The folder of the cluster that is up on this host; empty if none is."""
    alias = Path("/sys/class/net", BRIDGE, "ifalias")
    return alias.read_text().strip() if alias.exists() else ""


def configure(place: Place) -> None:
    """Tells containerd how a pod gets onto the bridge."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": f"{NETWORK}.0.0/16", "gateway": ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(place / "cni/addresses"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    place.write("cni/10-xrun.conflist", {"cniVersion": "0.4.0", "name": "xrun-kube", "plugins": [bridge, ports]})


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


def _forward(verb: str) -> None:
    """Lets pods reach each other where a docker engine has closed the way between addresses, or no longer."""
    if iptables := shutil.which("iptables"):
        rule = ["FORWARD", "--in-interface", BRIDGE, "--out-interface", BRIDGE, "--jump", "ACCEPT"]
        subprocess.run([iptables, "--wait", verb, *rule], capture_output=True, check=False)
