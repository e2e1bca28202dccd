"""The pods' network: a bridge that they hang on, and a name server."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from tests.systems.kube.place import Place
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
    if other := owner(place):
        if other != str(place.folder):
            hint = f"use it (export XRUN_KUBERNETES={other}) or end it (tests/systems/kubernetes down {other})"
            raise NotUp(f"{other} is up with the same network; {hint}, or choose another with XRUN_KUBERNETES_NETWORK")
        return
    ip = find("ip")
    for words in (
        ["link", "add", place.bridge, "type", "bridge"],
        ["link", "set", "dev", place.bridge, "alias", str(place.folder)],
        ["addr", "add", f"{place.address}/16", "dev", place.bridge],
        ["link", "set", place.bridge, "up"],
    ):
        done = subprocess.run([ip, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotUp(f"ip {' '.join(words)}: {done.stderr.strip()}")
    _forward(place, "--insert")


def stop_network(place: Place) -> None:
    """Removes the bridge, and with it its address, if it is this cluster's."""
    if owner(place) == str(place.folder):
        _forward(place, "--delete")
        subprocess.run([find("ip"), "link", "del", place.bridge], capture_output=True, check=False)


def owner(place: Place) -> str:
    """The folder of the cluster that is up with this network; empty if none is."""
    alias = Path("/sys/class/net", place.bridge, "ifalias")
    return alias.read_text().strip() if alias.exists() else ""


def configure(place: Place) -> None:
    """Tells containerd how a pod gets onto the bridge."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": f"{place.network}.0.0/16", "gateway": place.address}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(place / "cni/addresses"),
    }
    bridge = {"type": "bridge", "bridge": place.bridge, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    place.write("cni/10-xrun.conflist", {"cniVersion": "0.4.0", "name": "xrun-kube", "plugins": [bridge, ports]})


def start_names(place: Place) -> None:
    """The name server of the pods."""
    text = _NAMES.format(address=place.address, kubeconfig=place.kubeconfig)
    config = place.write("coredns/Corefile", text)
    start(place, "coredns", [find("coredns"), "-conf", str(config)])


def names_answer(place: Place) -> bool:
    """Whether the name server knows the cluster's services."""
    name = b"".join(bytes([len(word)]) + word for word in b"kubernetes.default.svc.cluster.local".split(b"."))
    question = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.settimeout(0.5)
        probe.connect((place.address, 53))
        probe.send(question)
        answer = probe.recv(512)
        # no error, and one answer at least
        return not answer[3] & 15 and answer[6:8] != b"\x00\x00"
    return False


def _forward(place: Place, verb: str) -> None:
    """Lets pods reach each other where a docker engine has closed the way between addresses, or no longer."""
    if iptables := shutil.which("iptables"):
        rule = ["FORWARD", "--in-interface", place.bridge, "--out-interface", place.bridge, "--jump", "ACCEPT"]
        subprocess.run([iptables, "--wait", verb, *rule], capture_output=True, check=False)
