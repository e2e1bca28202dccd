"""Jobs of a shell script, and commands of Slurm that do more, less or other than they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.schedulers.waiting import ends, reaches, status, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.resources import Resource
from xrun.specs.role import Role

__all__ = ["UNTIL_STOPPED", "app_id", "ends", "jobs_of", "reaches", "run", "sh", "status", "until", "wrap"]

UNTIL_STOPPED = "trap 'exit 0' TERM; echo ready; sleep 120 & wait; exit 9"


def sh(script: str, name: str = "main", **fields: Any) -> Role:
    """A role that runs a shell script."""
    fields.setdefault("resource", Resource(cpu=1, memMB=64))
    return Role(name, **{"image": "", "entrypoint": "sh", "args": ["-c", script], **fields})


def run(runner: Runner, *roles: Role, **options: Any) -> str:
    """Submits; returns the handle."""
    return str(runner.run(AppDef("job", list(roles)), "slurm", {"grace_period": 1, **options}))


def app_id(handle: str) -> str:
    """The app's id, which is the job's name."""
    return handle.rpartition("/")[2]


def jobs_of(cluster: SlurmCluster, name: str) -> list[str]:
    """Numbers of the jobs of that name that the cluster has, once for a heterogeneous one."""
    lines = cluster.command("squeue", "--states=all", "--noheader", f"--name={name}", "--format=%A").split()
    return sorted(set(lines))


def wrap(folder: Path, name: str, script: str) -> Path:
    """A command of a name that runs a script; ``$real`` is the real one, ``$here`` a folder of the wrapper's own.

    Returns:
        The folder, for PATH.
    """
    commands = folder / "commands"
    commands.mkdir(exist_ok=True)
    text = f"#!/bin/sh\nreal=/usr/bin/{name} here={folder}\n{script}\n"
    (commands / name).write_text(text)
    (commands / name).chmod(0o755)
    return commands
