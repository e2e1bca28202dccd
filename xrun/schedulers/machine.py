"""What is sure to fail on this machine, for schedulers that start programs here: said before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from xrun.errors import BackendError, InvalidValue
from xrun.schedulers import replica, secrets
from xrun.schedulers.home import HOME_VARIABLE, home, unwritable
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.problems import Problem
from xrun.specs.role import SCRIPT


def current_folder() -> str:
    """The folder that a job is submitted from.

    Raises:
        BackendError: it was removed.
    """
    try:
        return os.getcwd()
    except OSError as error:
        raise BackendError("the current folder is gone; change to another one", code="XR105") from error


def missing_files(app: AppDef, workdir: str) -> list[Problem]:
    """The working directory and the scripts that aren't there."""
    found = []
    if not os.path.isdir(workdir):
        found.append(Problem("XR050", "roles[0].workspace", f"there is no folder {workdir}", "check the path"))
    for i, role in enumerate(app.roles):
        script = role.metadata.get(SCRIPT)
        if isinstance(script, str) and not os.path.isfile(os.path.join(workdir, script)):
            message = f"there is no file {script} in {workdir}"
            found.append(Problem("XR051", f"roles[{i}].args", message, _nearby(os.path.join(workdir, script))))
    return found


def missing_programs(app: AppDef, app_id: str, workdir: str, inherited: Mapping[bytes, bytes]) -> list[Problem]:
    """The entrypoints that could not be started.

    Args:
        app: the job.
        app_id: its id.
        workdir: where its replicas start.
        inherited: the environment that they get from here.
    """
    import shutil

    found = []
    for i, role in enumerate(app.roles):
        values = replica.app_values(app_id, role, workdir)
        program = macros.substitute(role.entrypoint, values)
        env = replica.environment(role, {**values, "replica_id": "0", "rank0_env": ""}, {}, inherited, {})
        # a relative folder on PATH is one of the job's
        folders = env.get(b"PATH", os.defpath.encode()).split(b":")
        path = b":".join(os.path.join(os.fsencode(workdir), folder) for folder in folders)
        if shutil.which(os.path.join(workdir, program) if "/" in program else program, path=os.fsdecode(path)):
            continue
        where = os.path.join(workdir, program)
        if "/" in program and os.path.isfile(where):
            message, fix = f"{where} may not be executed", f"chmod +x {where}"
        elif "/" in program:
            message, fix = f"there is no program {where}", "check the path"
        else:
            message, fix = f"there is no program {program} on PATH", "install it, or name it with its folder"
        found.append(Problem("XR054", f"roles[{i}].entrypoint", message, fix))
    return found


def missing_secrets(app: AppDef, env: Mapping[bytes, bytes]) -> list[Problem]:
    """The secrets that can't be had here."""
    found = []
    for i, role in enumerate(app.roles):
        for name, reference in role.secrets.items():
            if reference.startswith("k8s:"):  # the cluster's
                continue
            try:
                secrets.resolve({name: reference}, env)
            except InvalidValue as error:
                message = str(error).partition(": ")[2]
                found.append(Problem(error.code, f"roles[{i}].secrets.{name}", message, "set it where xrun runs"))
    return found


def unwritable_home() -> list[Problem]:
    """A home folder that can't be written."""
    why = unwritable(home())
    fix = f"set {HOME_VARIABLE} to a folder you may write to"
    return [Problem("XR102", "home", why, fix)] if why else []


def _nearby(path: str) -> str:
    import difflib

    folder, name = os.path.split(path)
    try:
        near = difflib.get_close_matches(name, os.listdir(folder), n=2)
    except OSError:
        near = []
    return f"did you mean {' or '.join(near)}?" if near else "check the path, or change to its folder"
