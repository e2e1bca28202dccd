"""A Kubernetes cluster of its own, who may do what on it, and ways to break it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest

from tests.systems.kube import addons, groups, images, programs
from tests.systems.kube.place import USUAL_NETWORK, Place, bridge_of

SCRIPT = Path(__file__).with_name("kubernetes")

GIVEN = "XRUN_KUBERNETES"
"""Variable with the folder of a cluster that is up: tests use it and leave it up."""

BUSYBOX, HOST, PYTHON = images.BUSYBOX, images.HOST, images.PYTHON

FAKE, LASTS = addons.FAKE, addons.LASTS

NETWORK = "XRUN_KUBERNETES_NETWORK"
"""Variable with the network to take."""

NETWORKS = (USUAL_NETWORK, *(f"10.{n}" for n in range(215, 219)))
"""Of clusters side by side, one for each worker that tests."""


def group(part: str) -> pytest.MarkDecorator:
    """The xdist group of a part of the tests; parts run side by side, each with a cluster, where several fit."""
    several = groups.are_apart() and not os.environ.get(GIVEN) and not os.environ.get(NETWORK)
    return pytest.mark.xdist_group(f"kubernetes-{part}" if several else "kubernetes")


class KubernetesSystem(NamedTuple):
    """A cluster.

    Attributes:
        folder: where it keeps everything.
        kubeconfig: for whoever may do everything.
        image: an image that is there, with sh and tar.
    """

    folder: Path
    kubeconfig: str
    image: str = BUSYBOX


def lacking() -> str:
    """What this machine lacks to start one; empty if nothing."""
    return "" if os.environ.get(GIVEN) else programs.lacking()


@contextmanager
def started() -> Iterator[KubernetesSystem]:
    """A cluster, until the block is left; others on this host stay as they are."""
    if given := os.environ.get(GIVEN):
        place = Place(Path(given))
        yield KubernetesSystem(place.folder, str(place.kubeconfig))
        return
    with free_network() as network:
        place = Place(Path(tempfile.mkdtemp(prefix="xrun-k8s-", dir="/tmp")))  # a socket's name must be short
        place.write("network", network)
        try:
            _script("up", place.folder)
            yield KubernetesSystem(place.folder, str(place.kubeconfig))
        finally:
            _script("down", place.folder)


@contextmanager
def free_network() -> Iterator[str]:
    """A network that no other cluster has, until the block is left; waited for if there is none."""
    asked = os.environ.get(NETWORK)
    networks = [asked] if asked else NETWORKS[: None if groups.are_apart() else 1]
    with ExitStack() as stack:
        while True:
            for network in networks:
                lock = stack.enter_context(open(f"/tmp/{bridge_of(network)}.lock", "w"))
                # one that somebody started by hand holds no lock
                if (len(networks) == 1 or not Path("/sys/class/net", bridge_of(network)).exists()) and _locked(lock):
                    yield network
                    return
            stack.close()
            time.sleep(0.5)


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def kubectl(system: KubernetesSystem, *words: str, stdin: str = "", kubeconfig: str = "", code: int = 0) -> str:
    """What kubectl says; what it says of an error, where that is what must come.

    Args:
        system: the cluster.
        words: of the command line.
        stdin: what it reads, for ``-f -``.
        kubeconfig: who asks, if not who may do everything.
        code: the exit code that must come.
    """
    command = [programs.find("kubectl"), f"--kubeconfig={kubeconfig or system.kubeconfig}", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=100)
    assert done.returncode == code, f"{words}: {done.stderr}{done.stdout}"
    return done.stderr if code else done.stdout


def get(system: KubernetesSystem, *words: str) -> Any:
    """Objects, as ``kubectl get`` finds them."""
    return json.loads(kubectl(system, "get", "--output=json", *words))


def create(system: KubernetesSystem, namespace: str, *objects: Mapping[str, Any]) -> None:
    """Makes objects that are not there yet."""
    everything = {"apiVersion": "v1", "kind": "List", "items": objects}
    kubectl(system, "--namespace", namespace, "create", "--filename=-", stdin=json.dumps(everything))


@contextmanager
def namespace(system: KubernetesSystem) -> Iterator[str]:
    """A namespace of its own, until the block is left; pods can be made in it."""
    name = f"test-{os.getpid()}-{time.monotonic_ns() % 10**9}"
    kubectl(system, "create", "namespace", name)
    try:
        until(lambda: kubectl(system, "-n", name, "get", "serviceaccount", "default", "--ignore-not-found"))
        yield name
    finally:
        kubectl(system, "delete", "namespace", name, "--wait=false")


def account(system: KubernetesSystem, namespace: str, rules: Sequence[Mapping[str, Any]], name: str = "limited") -> str:
    """A service account that may do just this in a namespace; gives its kubeconfig.

    Args:
        system: the cluster.
        namespace: where it may; also what its kubeconfig names.
        rules: of a Role.
        name: the account's, and its Role's.
    """
    about = {"metadata": {"name": name}}
    may = {"apiVersion": "rbac.authorization.k8s.io/v1", **about}
    who = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    create(
        system,
        namespace,
        {"apiVersion": "v1", "kind": "ServiceAccount", **about},
        {**may, "kind": "Role", "rules": rules},
        {**may, "kind": "RoleBinding", "roleRef": reference, "subjects": who},
    )
    return kubeconfig_of(system, namespace, name)


def granted(system: KubernetesSystem, namespace: str, manifest: str, name: str) -> str:
    """A kubeconfig for the service account that a manifest makes in a namespace."""
    kubectl(system, "--namespace", namespace, "apply", "--server-side", "--filename", manifest)
    return kubeconfig_of(system, namespace, name)


def kubeconfig_of(system: KubernetesSystem, namespace: str, name: str) -> str:
    """A kubeconfig for a service account that is there."""
    token = kubectl(system, "-n", namespace, "create", "token", name, "--duration=10h").strip()
    return str(Place(system.folder).write_kubeconfig(f"accounts/{namespace}-{name}.kubeconfig", token, namespace))


def admin_of(system: KubernetesSystem, namespace: str) -> str:
    """A kubeconfig for who may do everything, in a namespace."""
    place = Place(system.folder)
    return str(place.write_kubeconfig(f"accounts/{namespace}-admin.kubeconfig", place.token, namespace))


def restart(system: KubernetesSystem, part: str, between: Callable[[], object] = lambda: None) -> None:
    """Ends a part of the cluster (``api-server``, ``kubelet``, ...) and starts it again; pods go on meanwhile.

    Args:
        system: the cluster.
        part: as ``tests/systems/kubernetes stop`` calls it.
        between: called when it is away.
    """
    _script("stop", system.folder, part)
    try:
        between()
    finally:
        _script("start", system.folder, part)


@contextmanager
def played_nodes(system: KubernetesSystem, count: int, gpus: int = 8) -> Iterator[list[str]]:
    """Nodes with GPUs that are only played, until the block is left; a pod must tolerate the taint `FAKE`."""
    place = Place(system.folder)
    try:
        yield addons.add_nodes(place, count, gpus)
    finally:
        addons.remove_nodes(place)


def with_python(system: KubernetesSystem) -> str:
    """The image that has Python, made when it is first asked for."""
    return images.with_python(Place(system.folder))


def tag(system: KubernetesSystem, image: str, name: str) -> None:
    """Gives an image that is there another name."""
    images.ctr(Place(system.folder), "images", "tag", "--force", image, name)


def host_folders() -> list[str]:
    """What a container of the image `HOST` must have mounted, each at its own place, to run this very Python."""
    needed = {"/usr", sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[2])}
    paths = Path(sysconfig.get_paths()["purelib"]).glob("*.pth")
    needed |= {line for path in paths for line in path.read_text().splitlines() if os.path.isdir(line)}
    needed |= {os.path.realpath(folder) for folder in needed}
    # a folder within another that is mounted is there with it
    return sorted(f for f in needed if not any(f.startswith(f"{other}/") for other in needed))


def until(condition: Callable[[], Any], timeout: float = 60) -> Any:
    """What a condition gives once it holds."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)
    return found


def _script(verb: str, folder: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT, verb, folder, *words], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
