"""What ``xrun doctor`` looks at: commands, version, accounting, partitions, job root. Every answer has a time limit."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from xrun.errors import BackendUnavailable, XrunError
from xrun.schedulers.api import Probe
from xrun.schedulers.slurm.client import Cluster

PATIENCE = 15.0
"""Seconds that a command has; by itself Slurm gives up on a controller after ten."""

OLDEST = (20, 11)
"""The oldest version that xrun knows."""

_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
_VERSION = re.compile(r"(\d+)\.(\d+)[^ \n]*")
_SETTING = re.compile(r"^(\w+) *= *(.*?) *$", re.MULTILINE)
_LOCAL = {"tmpfs", "ramfs", "overlay", "devtmpfs"}
_DISKS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs"}
_FEW = 8  # partitions that are named


def look(cluster: Cluster, job_root: str, partition: str) -> list[Probe]:
    """All there is to say.

    Args:
        cluster: one whose commands don't take long.
        job_root: the folder of the jobs' files.
        partition: what the configuration says; may be several, may be empty.
    """
    missing = [name for name in _COMMANDS if not shutil.which(name)]
    if missing:
        detail = f"{', '.join(missing)} not on PATH; run xrun where Slurm's commands are, as on a login node"
        return [Probe("commands", False, detail)]
    try:
        version = _version(cluster)
        settings = dict(_SETTING.findall(cluster.run("scontrol", "show", "config")))
        found = [
            Probe("commands", True, f"{shutil.which('sbatch')} and the others"),
            version,
            Probe("controller", True, f"cluster {settings.get('ClusterName', '?')} answers"),
            _accounting(cluster, settings),
            _partitions(cluster.run("sinfo", "--noheader", "--format=%P|%a|%D"), partition),
            _requeue(settings),
        ]
        hosts = cluster.run("sinfo", "--noheader", "--format=%n").split()
    except XrunError as error:
        return [Probe("controller", False, str(error), isinstance(error, BackendUnavailable))]
    return [*found, _job_root(Path(job_root), hosts)]


def _version(cluster: Cluster) -> Probe:
    said = cluster.run("sbatch", "--version").strip()
    number = _VERSION.search(said)
    if number is None:
        return Probe("version", False, f"sbatch says {said!r}; xrun needs Slurm {OLDEST[0]}.{OLDEST[1]} or newer")
    if (int(number[1]), int(number[2])) < OLDEST:
        return Probe("version", False, f"Slurm {number[0]}; xrun needs {OLDEST[0]}.{OLDEST[1]} or newer")
    return Probe("version", True, f"Slurm {number[0]}")


def _accounting(cluster: Cluster, settings: Mapping[str, str]) -> Probe:
    kind = settings.get("AccountingStorageType", "")
    if not kind.endswith("/slurmdbd"):
        return Probe("accounting", True, "none; ended jobs are answered for from the job root")
    try:
        cluster.accounting(["xrun-doctor"], time.time())
    except XrunError as error:
        return Probe("accounting", False, str(error), isinstance(error, BackendUnavailable))
    return Probe("accounting", True, f"slurmdbd at {settings.get('AccountingStorageHost', '?')} answers")


def _partitions(said: str, wanted: str) -> Probe:
    """From lines as ``main*|up|4``; a partition has one for each state of its nodes."""
    up: dict[str, bool] = {}
    nodes: dict[str, int] = {}
    for line in said.splitlines():
        name, available, count = [*line.split("|"), "", ""][:3]
        up[name] = available == "up"
        nodes[name] = nodes.get(name, 0) + (int(count) if count.isdigit() else 0)
    names = [name.rstrip("*") for name in up]
    for name in filter(None, wanted.split(",")):
        if name not in names:
            return Probe("partitions", False, f"there is no {name}; there are {_few(names)}")
        if not up.get(name, up.get(f"{name}*")):
            return Probe("partitions", False, f"{name} is down")
    if not wanted and not any(name.endswith("*") for name in up):
        return Probe("partitions", False, f"none is the default; set partition to one of {_few(names)}")
    shown = [f"{name.rstrip('*')} ({count} nodes{', default' * name.endswith('*')})" for name, count in nodes.items()]
    return Probe("partitions", True, _few(shown))


def _few(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(listed[:_FEW]) + (f" and {len(listed) - _FEW} more" if len(listed) > _FEW else "")


def _requeue(settings: Mapping[str, str]) -> Probe:
    age = settings.get("MinJobAge", "?")
    return Probe("ended jobs", True, f"stay in squeue for {age}, and in the job root until xrun delete")


def _job_root(root: Path, hosts: list[str]) -> Probe:
    """Whether jobs' files can be written here, and what is known of whether nodes see them."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Probe("job root", False, f"{root} can't be written; set job_root to a folder that all nodes see")
    if set(hosts) <= {"localhost", socket.gethostname(), socket.gethostname().partition(".")[0]}:
        return Probe("job root", True, f"{root}; all nodes are this machine")
    kind = _file_system(os.path.realpath(there), Path("/proc/self/mounts").read_text())
    if kind in _LOCAL:
        return Probe(
            "job root", False, f"{root} is {kind} of this machine; set job_root to a folder that all nodes see"
        )
    if kind in _DISKS:
        return Probe("job root", True, f"{root} is on a disk of this machine ({kind}); all nodes must see it as {root}")
    return Probe("job root", True, f"{root} ({kind})")


def _file_system(folder: str, mounts: str) -> str:
    """The type of the file system that a folder is on."""
    best, kind = "", "unknown"
    for at, found in _mounts(mounts):
        if (folder == at or folder.startswith(at.rstrip("/") + "/")) and len(at) >= len(best):
            best, kind = at, found
    return kind


def _mounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) > 2:
            yield re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[1]), words[2]
