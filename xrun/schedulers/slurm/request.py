"""An AppDef as one sbatch script. Pure."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xrun.errors import InvalidJob, InvalidValue, shown
from xrun.specs.app import AppDef
from xrun.specs.options import CommonOptions, option
from xrun.specs.problems import Problem
from xrun.specs.role import Role

MAX_SCRIPT = 4 << 20
"""Bytes of a script that sbatch takes unless the cluster says otherwise (SchedulerParameters, max_script_size)."""

MAX_REPLICAS = 100_000
"""More is a typing error."""

_OURS = (
    *("--array", "-a", "--job-name", "-J", "--wrap", "--wait", "-W", "--parsable"),
    *("--test-only", "--help", "-h", "--usage", "--version", "-V"),  # with which there is none
)

_TO_SCRIPT = re.compile(r"R?B.*:", re.IGNORECASE)
"""Begins a signal that sbatch gives to the script instead of the program."""

_BEFORE_LIMIT = 10  # seconds beside the grace period, for what is to be done then
_LINE_END = re.compile(r"[\n\r\0]")


@dataclass(frozen=True)
class SlurmOptions(CommonOptions):
    """Options of ``-s slurm``."""

    partition: str = option("", help="partition, or several with commas; empty for the cluster's default")
    account: str = option("", help="account that is charged")
    qos: str = option("", help="quality of service")
    time: str = option("", help="time limit of one stay in the cluster, as 90 (minutes), 12:00:00 or 2-00:00")
    nodes: int = option(0, help="nodes that the replicas of a role share evenly; 0 for a node each")
    packed: bool = option(False, help="run all roles on the same nodes, instead of as a heterogeneous job")
    constraint: str = option("", help="features that nodes must have")
    reservation: str = option("", help="reservation to run in")
    exclusive: bool = option(False, help="share nodes with no other job")
    nodelist: str = option("", help="nodes that must be among those of the job")
    exclude: str = option("", help="nodes that must not")
    licenses: str = option("", help="licenses, as matlab:2")
    dependency: str = option("", help="jobs to wait for, as afterok:123")
    mail_user: str = option("", help="who gets mail about the job")
    mail_type: str = option("", help="about what, as END,FAIL")
    comment: str = option("", help="a comment that Slurm keeps with the job")
    signal: str = option("", help="signal for the program before the time limit, as USR1@120, instead of a requeue")
    requeue: bool = option(True, help="go back to the queue after preemption, a lost node and at the time limit")
    max_requeues: int = option(100, help="times that the job goes back to the queue at its time limit")
    modules: list[str] = option([], help="environment modules to load")
    setup: list[str] = option([], help="lines of shell that run on the first node before the job")
    job_root: str = option("", help="folder for the jobs' files, seen by all nodes; empty for slurm in xrun's home")
    sbatch_args: list[str] = option([], help="further options for sbatch, as --gres=gpu:a100:4")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, number in (("nodes", self.nodes), ("max_requeues", self.max_requeues)):
            if number < 0:
                raise InvalidValue(f"option {name}: {number} is less than 0")
        for name, value in vars(self).items():
            for text in value if isinstance(value, list) else [value]:
                if name != "setup" and isinstance(text, str) and _LINE_END.search(text):
                    raise InvalidValue(f"option {name}: {shown(text)} holds a line end, which sbatch can't be given")
        if _TO_SCRIPT.match(self.signal):
            raise InvalidValue(f"option signal: {shown(self.signal)} goes to xrun's script; leave out what is before :")
        for text in self.sbatch_args:
            if not text.startswith("-"):
                raise InvalidValue(f"option sbatch_args: {shown(text)} is no option; write --name=value")
            if text.startswith("--sig"):
                raise InvalidValue(f"option sbatch_args: {shown(text)} would stop the job; use option signal")
            if _is_ours(text):
                raise InvalidValue(f"option sbatch_args: {shown(text)} would make the job another one or none; drop it")
        if self.job_root and not os.path.isabs(self.job_root):
            raise InvalidValue(f"option job_root: {shown(self.job_root)} is not absolute, and a job must find it")


def _is_ours(argument: str) -> bool:
    """Whether an option of sbatch's takes the job its name, number, script or existence, or sbatch its answer."""
    name = argument.partition("=")[0]
    if not name.startswith("--"):
        return name[:2] in _OURS
    return len(name) > len("--x") and any(ours.startswith(name) for ours in _OURS)  # getopt takes short forms


class Shape(NamedTuple):
    """How the replicas of a role lie on nodes.

    Attributes:
        nodes: how many nodes.
        per_node: replicas on a node, at most.
        cpus: whole CPUs of a replica; 0 for what the cluster gives.
    """

    nodes: int
    per_node: int
    cpus: int


class SlurmRequest(NamedTuple):
    """What sbatch is given, but for what only the launcher knows (its environment, secrets, workspaces).

    Attributes:
        app_id: the app's id, and the job's name.
        handle: its handle.
        app: the job; nobody changes it any more.
        options: how to run it.
        folder: where everything of the job is.
    """

    app_id: str
    handle: str
    app: AppDef
    options: SlurmOptions
    folder: str

    @property
    def is_het(self) -> bool:
        """Whether it is a heterogeneous job, a component for each role."""
        return len(self.app.roles) > 1 and not self.options.packed


def build(app: AppDef, options: SlurmOptions, app_id: str, handle: str, job_root: str) -> SlurmRequest:
    """The request for an app.

    Raises:
        InvalidJob: too many replicas, or a script that no sbatch takes.
        InvalidValue: sbatch can't write into that job root.
    """
    if "\\" in job_root:
        message = f"sbatch can't write into {shown(job_root)}: it drops backslashes"
        raise InvalidValue(f"option job_root: {message}; name another one, or another XRUN_HOME")
    count = sum(role.num_replicas for role in app.roles)
    if count > MAX_REPLICAS:
        message = f"{count} replicas in one job"
        raise InvalidJob([Problem("XR140", "roles", message, f"ask for {MAX_REPLICAS} at most")])
    return SlurmRequest(app_id, handle, app, options, os.path.join(job_root, app_id))


def shape(role: Role, options: SlurmOptions) -> Shape:
    """How a role's replicas lie on nodes."""
    per_node = math.ceil(role.num_replicas / min(options.nodes or role.num_replicas, role.num_replicas))
    cpus = math.ceil(role.resource.cpu) if role.resource.cpu > 0 else 0
    return Shape(math.ceil(role.num_replicas / per_node), per_node, cpus)


def lead(options: SlurmOptions) -> int:
    """Seconds before the time limit at which the job is stopped."""
    return min(math.ceil(options.grace_period) + _BEFORE_LIMIT, 65535)


def notices(request: SlurmRequest) -> Iterator[str]:
    """What Slurm can't do to the letter, a line each."""
    for role in request.app.roles:
        cpu = role.resource.cpu
        if cpu > 0 and cpu % 1:
            yield f"{role.name}: cpu {cpu:g} is rounded up to {math.ceil(cpu)}, since Slurm has whole ones"
