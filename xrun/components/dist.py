"""Distributed PyTorch: the same program on every node, started and joined by torchrun (``torch.distributed.run``).

One node needs no shell and no network. On several, each replica runs a constant ``sh`` text that learns where replica 0
is from the environment that every xrun scheduler sets, and fails if it isn't said; no word of yours enters that text.
"""

from __future__ import annotations

import re
from typing import Literal

import xrun
from xrun.components.structured_arg import StructuredJArgument, StructuredNameArgument, parse_nnodes
from xrun.errors import InvalidValue
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.mounts import parse_mounts
from xrun.specs.resources import resource
from xrun.specs.role import SCRIPT, Role

__all__ = ["EXPERIMENT", "ddp", "parse_nnodes", "spmd"]

EXPERIMENT = "xrun/experiment"
"""Key of AppDef.metadata: the experiment of ``--name experiment/run``."""

# $1 is the port or "", $2 the rest of --rdzv-conf; the attempt keeps stragglers of the one before from joining
_JOIN = """\
host=${XRUN_RANK0_HOST:?is not set: the scheduler must say where replica 0 is}
port=${1:-${XRUN_RDZV_PORT:?is not set: the scheduler must choose a port, or give --rdzv_port}}
run=${XRUN_APP_ID:?is not set}-${XRUN_ATTEMPT:?is not set}
case ${XRUN_REPLICA_ID:?is not set} in 0) is_host=true ;; *) is_host=false ;; esac
conf=is_host=$is_host,$2
shift 2
exec python -m torch.distributed.run --rdzv-endpoint "$host:$port" --rdzv-id "$run" --rdzv-conf "$conf" "$@"
"""

# torch's defaults (60 s to read, 600 s to join) end a job whose nodes start minutes apart
_PATIENCE = {"read_timeout": "900", "join_timeout": "900", "timeout": "900"}

_DEBUG = {
    "CUDA_LAUNCH_BLOCKING": "1",
    "NCCL_DESYNC_DEBUG": "1",
    "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
    "TORCH_SHOW_CPP_STACKTRACES": "1",
}


def ddp(
    *script_args: str,
    script: str | None = None,
    m: str | None = None,
    image: str = xrun.IMAGE,
    name: str = "/",
    h: str | None = None,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 1024,
    j: str = "1x2",
    env: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    max_retries: int = 0,
    rdzv_port: int | None = None,
    rdzv_backend: Literal["c10d", "static"] = "c10d",
    rdzv_conf: dict[str, str] | None = None,
    mounts: list[str] | None = None,
    debug: bool = False,
    tee: int = 3,
) -> AppDef:
    """Runs a script or a module on every process of every node with torchrun.

    Args:
        script_args: arguments of the script or module.
        script: path of the script, in the working directory of the job.
        m: module to run instead of a script.
        image: container image; empty for the scheduler's configured one.
        name: name of the job, as [experiment/]run; the run is else the name of the script or module.
        h: a named resource, which wins over cpu, gpu and memMB.
        cpu: cores of each node.
        gpu: GPUs of each node.
        memMB: memory of each node in MiB.
        j: [[MIN:]NODESx]PROCESSES, processes on each node; with MIN the job is elastic.
        env: environment of the program; LOGLEVEL is WARNING unless set here.
        metadata: notes that travel with the job.
        max_retries: restarts of the whole job after a failure.
        rdzv_port: port on the first node where the nodes meet, if there are several (default: follows from the app id).
        rdzv_backend: how the nodes meet, if there are several.
        rdzv_conf: more for torchrun's --rdzv-conf, as in join_timeout=1200.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
        debug: slower, and says more about a crash or a hang.
        tee: streams of the processes that are shown as well as kept: 0 none, 1 stdout, 2 stderr, 3 both.
    """
    names = StructuredNameArgument.parse_from(name, m, script, default_experiment_name="")
    least, most, processes, nodes = parse_nnodes(j)
    words = ["--nnodes", nodes, "--nproc-per-node", str(processes), *_program(script, m, tee), *script_args]
    if most == 1:
        entrypoint, args = "python", [*_single_node(rdzv_conf or {}), *words]
    else:
        entrypoint, args = "sh", [*_multi_node(rdzv_port, rdzv_backend, rdzv_conf or {}, least < most), *words]
    role = Role(_role_name(names.run_name), image, entrypoint, args, _env(env or {}, debug), most)
    role.min_replicas = least if least < most else None
    role.max_retries = max_retries
    role.resource = resource(cpu, gpu, memMB, h)
    role.port_map = {"c10d": rdzv_port} if rdzv_port is not None and most > 1 else {}
    role.mounts = parse_mounts(mounts or [])
    role.metadata = {SCRIPT: script} if script else {}
    experiment = {EXPERIMENT: names.experiment_name} if names.experiment_name else {}
    return AppDef(names.run_name, [role], {**experiment, **(metadata or {})})


def spmd(
    *args: str,
    script: str | None = None,
    m: str | None = None,
    image: str = xrun.IMAGE,
    name: str = "/",
    h: str = "gpu.small",
    j: str = "1",
    env: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
    debug: bool = False,
) -> AppDef:
    """Runs a script or a module with torchrun on hosts of one kind, by default one process per GPU.

    Args:
        args: arguments of the script or module.
        script: path of the script, in the working directory of the job.
        m: module to run instead of a script.
        image: container image; empty for the scheduler's configured one.
        name: name of the job, as [experiment/]run; the run is else the name of the script or module.
        h: the kind of host, a named resource.
        j: [MIN:]NODES[xPROCESSES]; the processes on each node are else the GPUs of h.
        env: environment of the program; LOGLEVEL is WARNING unless set here.
        metadata: notes that travel with the job.
        max_retries: restarts of the whole job after a failure.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
        debug: slower, and says more about a crash or a hang.
    """
    return ddp(
        *args,
        script=script,
        m=m,
        image=image,
        name=name,
        h=h,
        j=str(StructuredJArgument.parse_from(h, j)),
        env=env,
        metadata=metadata,
        max_retries=max_retries,
        mounts=mounts,
        debug=debug,
    )


def _program(script: str | None, m: str | None, tee: int) -> list[str]:
    """What torchrun starts; without ``--`` it takes a script's ``--rdzv`` for an ambiguous option of its own."""
    shown = ["--tee", str(tee), "--role", ""]
    return [*shown, "-m", "--", m] if m else [*shown, "--", script or ""]


def _env(env: dict[str, str], debug: bool) -> dict[str, str]:
    return {"LOGLEVEL": "WARNING", **(_DEBUG if debug else {}), **env}


def _single_node(conf: dict[str, str]) -> list[str]:
    """Runs torchrun without a shell; port 0 is any free one."""
    words = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    words += ["--rdzv-id", macros.app_id]
    return [*words, "--rdzv-conf", _rdzv_conf(conf)] if conf else words


def _multi_node(port: int | None, backend: str, conf: dict[str, str], elastic: bool) -> list[str]:
    """Runs torchrun through `_JOIN`."""
    if backend not in ("c10d", "static"):
        raise InvalidValue(f"rdzv_backend {backend!r} is not one of c10d, static")
    if elastic and backend == "static":
        raise InvalidValue("rdzv_backend static joins a fixed number of nodes; use c10d, or -j without MIN:")
    words = ["-c", _JOIN, "sh", "" if port is None else str(port), _rdzv_conf({**_PATIENCE, **conf})]
    words += ["--rdzv-backend", backend]
    return words if backend == "c10d" else [*words, "--node-rank", macros.replica_id]


def _rdzv_conf(conf: dict[str, str]) -> str:
    """Settings as torchrun's ``k=v,k=v``, if it can hold them."""
    for key, value in conf.items():
        if not key or not value or "," in key + value or "=" in key:
            raise InvalidValue(f"rdzv_conf {key!r}={value!r}: torchrun takes no comma and nothing empty there")
    return ",".join(f"{key}={value}" for key, value in conf.items())


def _role_name(name: str) -> str:
    """The nearest text that can be a role's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:63].strip("._-") or "main"
