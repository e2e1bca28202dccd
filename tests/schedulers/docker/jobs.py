"""Jobs of the busybox image, and what must become of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.systems.engine import IMAGE, DockerSystem, docker
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

UNTIL_STOPPED = "trap 'exit 0' TERM; echo ready; sleep 120 & wait; exit 9"
IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 1; done"


def sh(script: str, name: str = "main", **fields: Any) -> Role:
    """A role that runs a shell script."""
    return Role(name, **{"image": IMAGE, "entrypoint": "sh", "args": ["-c", script], **fields})


def run(runner: Runner, *roles: Role, **options: Any) -> str:
    """Submits; returns the handle."""
    return str(runner.run(AppDef("job", list(roles)), "docker", {"grace_period": 1, **options}))


def status(runner: Runner, handle: str) -> AppStatus:
    """Of a job that is there."""
    found = runner.status(handle)
    assert found is not None
    return found


def ends(runner: Runner, handle: str, state: AppState, timeout: float = 60) -> AppStatus:
    """Its status at the end, which must be this one."""
    found = runner.wait(handle, timeout=timeout)
    assert found is not None
    assert found.state == state, found.msg
    return found


def until(condition: Callable[[], Any], timeout: float = 30) -> Any:
    """What a condition gives once it holds."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)
    return found


def reaches(runner: Runner, handle: str, line: str, role: str = "main", k: int = 0) -> None:
    """Waits for a line of a replica."""
    until(lambda: any(text == f"{line}\n" for text in runner.log_lines(handle, role, k)))


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
