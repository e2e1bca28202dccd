"""An AppDef as this machine runs it, and the shell script that does the same by hand. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from xrun.errors import Unsupported
from xrun.schedulers import replica
from xrun.schedulers.local import RANK0
from xrun.schedulers.shell_words import secret, word
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.options import CommonOptions, option
from xrun.specs.problems import Problem
from xrun.specs.role import Role
from xrun.specs.workspace import GIT_ROOT

MAX_REPLICAS = 10_000
"""Processes that one app may ask of this machine; more is a typing error that would take it down."""

_VARIABLES = {"replica_id": "$XRUN_REPLICA_ID", "rank0_env": macros.RANK0_HOST}


@dataclass(frozen=True)
class LocalOptions(CommonOptions):
    """Options of ``-s local``."""

    gpus: int = option(-1, help="number of GPUs to share out, real or made up; -1 asks nvidia-smi")


class LocalRequest(NamedTuple):
    """What the supervisor is given, but for what only the launcher knows (environment, folder, secrets).

    Attributes:
        app_id: the app's id.
        handle: its handle.
        app: the job; nobody changes it any more.
        options: how to run it.
        workdir: working directory of the replicas: a folder, `GIT_ROOT`, or empty for the launcher's.
    """

    app_id: str
    handle: str
    app: AppDef
    options: LocalOptions
    workdir: str

    @property
    def gpus(self) -> int:
        """Devices that all replicas need together."""
        return sum(max(0, role.resource.gpu) * role.num_replicas for role in self.app.roles)


def build(app: AppDef, options: LocalOptions, app_id: str, handle: str) -> LocalRequest:
    """The request for an app.

    Raises:
        Unsupported: a workspace that is more than one folder, or more replicas than one machine takes.
    """
    count = sum(role.num_replicas for role in app.roles)
    if count > MAX_REPLICAS:
        message = f"{count} replicas on one machine"
        raise Unsupported([Problem("XR052", "roles", message, f"ask for {MAX_REPLICAS} at most")])
    return LocalRequest(app_id, handle, app, options, _workdir(app.roles))


def render(request: LocalRequest) -> str:
    """A POSIX shell script that starts the same programs with the same words and variables, and waits for them.

    It has one block a role, however many replicas. It does not restart, stop the rest after a failure or keep logs.
    """
    lines = [
        "#!/bin/sh",
        f"# {request.handle}: what xrun starts on this machine. Retries, gang and logs are the supervisor's.",
        f"export XRUN_APP_ID={request.app_id} XRUN_HANDLE={shlex.quote(request.handle)} XRUN_ATTEMPT=0",
        'export PYTHONUNBUFFERED="${PYTHONUNBUFFERED-1}"',
    ]
    if request.workdir == GIT_ROOT:
        lines.append('cd "$(git rev-parse --show-toplevel)" || exit')
    elif request.workdir:
        lines.append(f"cd {shlex.quote(request.workdir)} || exit")
    lines.append("pids=")
    for role in request.app.roles:
        lines += _role_lines(request, role)
    lines += ["status=0", 'for pid in $pids; do wait "$pid" || status=1; done', "exit $status"]
    return "\n".join(lines) + "\n"


def _role_lines(request: LocalRequest, role: Role) -> list[str]:
    env = replica.contract_env(
        app_id=request.app_id,
        handle=request.handle,
        role=role,
        replica_id=0,
        attempt=0,
        rank0={r.name: RANK0 for r in request.app.roles},
        error_file="",
    )
    fixed = (
        "XRUN_APP_ID",
        "XRUN_HANDLE",
        "XRUN_ATTEMPT",
        "XRUN_REPLICA_ID",
        "XRUN_ERROR_FILE",
        "TORCHELASTIC_ERROR_FILE",
    )
    folder = "." if request.workdir in ("", GIT_ROOT) else request.workdir
    values = replica.app_values(request.app_id, role, folder)
    lines = [f"# role {role.name}", f"XRUN_REPLICA_ID=0; while [ $XRUN_REPLICA_ID -lt {role.num_replicas} ]; do ("]
    lines.append(
        "  export XRUN_REPLICA_ID " + " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items() if k not in fixed)
    )
    lines += [f"  export {name}={word(text, values, _VARIABLES)}" for name, text in role.env.items()]
    lines += [f"  export {name}={secret(reference)}" for name, reference in role.secrets.items()]
    words = [word(text, values, _VARIABLES) for text in (role.entrypoint, *role.args)]
    lines.append(f"  exec {' '.join(words)}")
    lines.append(') & pids="$pids $!"; XRUN_REPLICA_ID=$((XRUN_REPLICA_ID + 1)); done')
    return lines


def _workdir(roles: Sequence[Role]) -> str:
    folders = {
        src.removeprefix("file://") if dst == "" else None
        for role in roles
        if role.workspace
        for src, dst in role.workspace.projects.items()
    }
    if not folders:
        return ""
    folder = next(iter(folders))
    if len(folders) > 1 or folder is None or ("://" in folder and folder != GIT_ROOT):
        message = "local runs in one local folder, the same for all roles, as it stands"
        raise Unsupported([Problem("XR048", "roles[0].workspace", message, "give one folder, as in --workspace .")])
    return folder
