"""The verbs of ``tests/systems/kubernetes``."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.systems.kube import addons, control, images, leftovers, network, node, programs
from tests.systems.kube.place import NODE, Place
from tests.systems.kube.processes import NotUp, stop, wait_for

PARTS: dict[str, Callable[[Place], None]] = {
    "etcd": control.start_etcd,
    "api-server": control.start_api_server,
    "containerd": node.start_runtime,
    "controllers": control.start_controllers,
    "scheduler": control.start_scheduler,
    "kubelet": node.start_kubelet,
    "coredns": network.start_names,
    "jobset": addons.start_jobset,
    "kwok": addons.start_kwok,
}
"""In the order in which they start."""


def main(words: list[str], about: str) -> int:
    """Runs a verb; says in a line what went wrong."""
    try:
        match words:
            case ["build"]:
                programs.build()
            case ["up", folder]:
                up(Place(Path(folder)))
            case ["down", folder]:
                down(Place(Path(folder)))
            case ["nodes", folder, count] if count.isdigit():
                addons.add_nodes(Place(Path(folder)), int(count))
            case ["python", folder]:
                sys.stdout.write(f"{images.with_python(Place(Path(folder)))}\n")
            case ["start", folder, part] if part in PARTS:
                PARTS[part](Place(Path(folder)))
                control.await_api_server(Place(Path(folder)))
            case ["stop", folder, part] if part in PARTS:
                # as if it crashed; the API server would take its time else
                stop(Place(Path(folder)), part, signal.SIGKILL)
            case _:
                sys.stderr.write(about)
                return 2
    except (NotUp, FileNotFoundError, RuntimeError, subprocess.CalledProcessError) as error:
        said = getattr(error, "output", None) or ""
        sys.stderr.write(f"error: {error}\n{said}")
        return 1
    return 0


def up(place: Place) -> None:
    """Starts everything and waits until pods can run."""
    if lacking := programs.lacking():
        raise NotUp(lacking)
    if len(str(place.folder)) > 60:
        raise NotUp(f"the path {place.folder} is too long for sockets; give one of at most 60 characters")
    if place.folder.exists() and any(place.folder.iterdir()) and not place.is_made:
        raise NotUp(f"{place.folder} holds other things; give a folder that is empty or not there")
    network.start_network(place)
    leftovers.refuse_another(place)
    place.write_kubeconfig("admin.kubeconfig", place.token)
    control.start_etcd(place)
    control.start_api_server(place)
    node.start_runtime(place)
    control.await_api_server(place)
    control.start_controllers(place)
    control.start_scheduler(place)
    node.start_kubelet(place)
    network.start_names(place)
    addons.start_kwok(place)
    addons.start_jobset(place)
    wait_for(place, "kubelet", lambda: b'"type":"Ready","status":"True"' in _node(place))
    # without it no pod can be made
    wait_for(place, "controllers", lambda: control.api(place, "/api/v1/namespaces/default/serviceaccounts/default"))
    wait_for(place, "jobset", lambda: addons.takes_jobsets(place))
    wait_for(place, "coredns", lambda: network.names_answer(place))
    sys.stdout.write(f"export KUBECONFIG={place.kubeconfig}\n# it has the image {images.BUSYBOX}\n")


def down(place: Place) -> None:
    """Ends everything, the parts that make pods first, and leaves nothing on the machine."""
    if not place.is_made:
        raise NotUp(f"{place.folder} is no cluster's folder; nothing is done")
    for part in ("kwok", "jobset", "controllers", "scheduler", "coredns"):
        stop(place, part)
    leftovers.clean(place)
    for part in ("api-server", "etcd"):
        stop(place, part, signal.SIGKILL)
    if left := leftovers.left(place):
        raise NotUp(f"{place.folder} is ended, but for {', '.join(left)}")
    shutil.rmtree(place.folder)


def _node(place: Place) -> bytes:
    return control.api(place, f"/api/v1/nodes/{NODE}").replace(b" ", b"").replace(b"\n", b"")
