"""What a node puts on the machine outside of its folder, and how that goes away again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from tests.systems.kube import groups, images, network
from tests.systems.kube.place import Place
from tests.systems.kube.processes import NotUp, end, pid_of, stop

_FOLDERS = ("/var/lib/cni/results", "/var/lib/cni", "/var/log/containers")
"""Made on the way, and removed if nobody else has anything there."""


def refuse_another(place: Place) -> None:
    """Refuses to start beside another kubelet, whose pods ours would take for leftovers.

    Args:
        place: a cluster that runs already is not another.

    Raises:
        NotUp: there is one.
    """
    if not pid_of(place, "kubelet") and groups.processes(place):
        raise NotUp("another kubelet runs pods on this machine, and ours would end them")


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
    if network.owner(place) in ("", str(place.folder)):
        groups.remove(place)
    network.stop_network(place)
    _remove_files(place)


def left(place: Place) -> list[str]:
    """What there still is of a cluster that was ended."""
    found = [f"mount {point}" for point in _mounts(place)] + [f"process {pid}" for pid in _shims(place)]
    if network.owner(place) in ("", str(place.folder)):
        found += [f"control group {group}" for group in groups.there(place)]
    return found + [f"bridge {place.bridge}"] * (network.owner(place) == str(place.folder))


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


def _remove_files(place: Place) -> None:
    """What lies where no setting could move it; folders that others use too are left."""
    kubelet = Path("/var/lib/kubelet/device-plugins")
    ours = [kubelet / "kubelet.sock", kubelet / "kubelet_internal_checkpoint"]
    results = Path("/var/lib/cni/results").glob("*")
    ours += [path for path in results if f"{place.folder}/" in path.read_text(errors="replace")]
    links = [path for path in Path("/var/log/containers").glob("*") if path.is_symlink()]
    ours += [path for path in links if os.readlink(path).startswith(f"{place.folder}/")]
    for path in ours:
        path.unlink(missing_ok=True)
    for folder in (kubelet, kubelet.parent, *(Path(name) for name in _FOLDERS)):
        with contextlib.suppress(OSError):
            folder.rmdir()
