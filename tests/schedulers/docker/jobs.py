"""Jobs of the busybox image, and what must become of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.schedulers.waiting import ends, reaches, status, until
from tests.systems.engine import IMAGE, DockerSystem, docker
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.role import Role

__all__ = ["IGNORES_TERM", "UNTIL_STOPPED", "ends", "left", "reaches", "run", "sh", "status", "supervisors", "until"]

UNTIL_STOPPED = "trap 'exit 0' TERM; echo ready; sleep 120 & wait; exit 9"
IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 1; done"


def sh(script: str, name: str = "main", **fields: Any) -> Role:
    """A role that runs a shell script."""
    return Role(name, **{"image": IMAGE, "entrypoint": "sh", "args": ["-c", script], **fields})


def run(runner: Runner, *roles: Role, **options: Any) -> str:
    """Submits; returns the handle."""
    return str(runner.run(AppDef("job", list(roles)), "docker", {"grace_period": 1, **options}))


def left(system: DockerSystem, handle: str) -> list[str]:
    """The names of all that the engine has of a job, whatever it is."""
    only = ("--filter", f"label=xrun.dev/app-id={handle.rpartition('/')[2]}")
    names = docker(system, "ps", "-a", *only, "--format", "{{.Names}}")
    names += docker(system, "network", "ls", *only, "--format", "{{.Name}}")
    names += docker(system, "volume", "ls", *only, "--format", "{{.Name}}")
    return sorted(names.decode().split())


def supervisors(app_id: str) -> list[int]:
    """The pids of an app's supervisors."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"xrun.schedulers.docker.supervisor" in words and app_id.encode() in words and b"sh" not in words[:1]:
            found.append(int(folder.name))
    return found
