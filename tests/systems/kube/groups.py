"""The control groups that pods are in: below one of the cluster's own, so that no other kubelet takes them away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.systems.kube.place import Place

_BASE = Path("/sys/fs/cgroup")


def are_apart() -> bool:
    """Whether each cluster has groups of its own, so that several can be up: not in a single hierarchy."""
    return not (_BASE / "cgroup.controllers").exists()


def make(place: Place) -> str:
    """Makes the group that all pods are below; gives what the kubelet calls it."""
    if not are_apart():
        return "/"  # one hierarchy: the kubelet hands its controllers down by itself only from the top
    for folder in _hierarchies():
        group = folder / place.bridge
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (folder / name).exists() and not (group / name).read_text().strip():
                (group / name).write_text((folder / name).read_text())
    return f"/{place.bridge}"


def there(place: Place) -> list[Path]:
    """Ours, one in each hierarchy where there are several."""
    # runc makes them in hierarchies where we made none, too
    name = f"*/{place.bridge}" if are_apart() else "kubepods"
    return [top for top in _BASE.glob(name) if top.is_dir()]


def processes(place: Place) -> list[int]:
    """Who is in them."""
    found = []
    for group in there(place):
        for file in group.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in file.read_text().split()]
    return found


def remove(place: Place) -> None:
    """Removes them, with whoever is in them."""
    until = time.monotonic() + 10
    while (groups := there(place)) and time.monotonic() < until:
        for pid in processes(place):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        # a group whose last process has just ended is busy for a moment
        for group in groups:
            for folder in [*sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True), group]:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _hierarchies() -> list[Path]:
    named = [path for path in _BASE.glob("*") if path.is_dir() and not path.is_symlink()]
    return [path for path in named if (path / "tasks").exists()]
