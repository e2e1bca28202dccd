"""Exactly one job for an app: its folder is made first, and after a lost answer Slurm is asked, not told again."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import suppress

from xrun import __version__
from xrun.errors import BackendError, BackendUnavailable, InvalidJob
from xrun.schedulers import home, machine, replica, secrets
from xrun.schedulers.slurm import client, script
from xrun.schedulers.slurm.client import Cluster, Unanswered
from xrun.schedulers.slurm.jobroot import HEAD, OUTPUT, RECORD, SCRIPT, SECRETS, JobFolder, unwritable
from xrun.schedulers.slurm.request import MAX_SCRIPT, SlurmRequest
from xrun.schedulers.user import user_name
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.problems import Problem
from xrun.specs.serialize import to_dict

_PATIENCE = 60.0  # seconds for which a controller that is away is asked what became of a submission
_PAUSE = 1.0


def submit(cluster: Cluster, info: AppDryRunInfo[SlurmRequest], root: str) -> bool:
    """Submits an app; False if there is one of that id.

    Raises:
        InvalidJob: a script or a folder isn't there, or the whole is too long for sbatch.
        InvalidValue: a secret can't be had.
        BackendError: Slurm refuses.
        BackendUnavailable: it can't be reached; the same request may be sent again.
    """
    text = checked_text(info.request)
    values = [secrets.resolve(role.secrets, os.environb) for role in info.app.roles]
    folder = JobFolder(root, info.app_id)
    is_new = folder.make()
    with folder.locked():
        if folder.job_id() or not _may_be_sent(folder, info):
            return False
        if not is_new and (found := _job_of(cluster, info.app_id)):
            folder.set_job_id(found)
            return False
        try:
            _fill(folder, info, text, values)
            _send(cluster, folder, info)
        except BaseException as error:
            if not isinstance(error, Unanswered):  # what was perhaps sent is left for the same request to look for
                folder.remove()
            raise
    return True


def checked_text(request: SlurmRequest) -> str:
    """The script, if it can be submitted from here.

    Raises:
        InvalidJob: it can't.
    """
    problems = _missing_files(request, None)
    text = script.text(request)
    if len(text.encode("utf-8", "surrogateescape")) > MAX_SCRIPT:
        message = f"the job's script has {len(text)} characters"
        problems.append(
            Problem("XR145", "roles", message, f"sbatch takes {MAX_SCRIPT} bytes; pass large values in files")
        )
    if problems:
        raise InvalidJob(problems)
    return text


def _missing_files(request: SlurmRequest, folder: JobFolder | None) -> list[Problem]:
    """Scripts that aren't there: of roles without a workspace, or in the copies of workspaces if a folder is given."""
    found = []
    for i, role in enumerate(request.app.roles):
        if (folder is None) is bool(role.workspace):
            continue
        place = machine.current_folder() if folder is None else folder / script.workspace_name(request, role)
        missing = machine.missing_files(AppDef("", [role]), place)
        found += [problem._replace(path=problem.path.replace("roles[0]", f"roles[{i}]")) for problem in missing]
    return found


def _copy_workspaces(folder: JobFolder, request: SlurmRequest) -> None:
    from xrun.workspaces import copy  # much that only a workspace needs

    for name, workspace in script.workspaces(request).items():
        shutil.rmtree(folder / name, ignore_errors=True)
        try:
            copy(workspace, folder / name)
        except OSError as error:
            raise unwritable(error) from error
    if missing := _missing_files(request, folder):
        raise InvalidJob(missing)


def environment(request: SlurmRequest) -> dict[bytes, bytes]:
    """What the job gets of our environment."""
    options = request.options
    inherited = replica.inherited_env(os.environb, os.path.dirname(sys.executable)) if options.inherit_env else {}
    return client.environment(inherited, vars(options))


def _fill(folder: JobFolder, info: AppDryRunInfo[SlurmRequest], text: str, values: list[dict[str, bytes]]) -> None:
    head = {
        "app": to_dict(info.app),
        "app_id": info.app_id,
        "handle": info.request.handle,
        "request_id": info.request_id,
        "spec_hash": info.spec_hash,
        "options": dict(vars(info.options)),
        "user": user_name(),
        "submitted": round(time.time(), 6),
        "version": __version__,
    }
    if any(role.workspace for role in info.app.roles):
        _copy_workspaces(folder, info.request)
    folder.write(HEAD, json.dumps(head).encode())
    folder.write(SCRIPT, text.encode("utf-8", "surrogateescape"), 0o700)
    with open(script.library_path(), "rb") as library:
        folder.write(script.LIBRARY, library.read())
    folder.write(RECORD, b"")  # a file that was missed once is missed for a while on NFS
    if any(values):
        folder.write(SECRETS, script.secrets_text(values))


def _send(cluster: Cluster, folder: JobFolder, info: AppDryRunInfo[SlurmRequest]) -> None:
    try:
        job_id = cluster.submit(folder / SCRIPT, folder / OUTPUT, environment(info.request))
    except Unanswered as error:
        job_id = _after_lost_answer(cluster, info.app_id, error)
    folder.set_job_id(job_id)


def _after_lost_answer(cluster: Cluster, app_id: str, error: Unanswered) -> str:
    """The job that was submitted all the same.

    Raises:
        Unanswered: there is none, or nobody knows.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        with suppress(BackendUnavailable):
            found = _job_of(cluster, app_id)
            if found:
                return found
            break
        if time.monotonic() > end:
            break
        time.sleep(_PAUSE)
    raise Unanswered(f"{error}; the same --request-id submits it once, whatever became of it") from error


def _job_of(cluster: Cluster, app_id: str) -> str:
    rows = cluster.queue([app_id]) or cluster.accounting([app_id], time.time() - 30 * 86400)
    return next((row.job_id for row in rows if row.name == app_id), "")


def _may_be_sent(folder: JobFolder, info: AppDryRunInfo[SlurmRequest]) -> bool:
    """Whether the folder is new, or this very request was begun before and not brought to its end."""
    head = folder.head()
    return not head or (head.get("request_id") == info.request_id and head.get("spec_hash") == info.spec_hash)


def check(cluster: Cluster, info: AppDryRunInfo[SlurmRequest], root: str) -> list[Problem]:
    """What a submission looks at, and what sbatch says to the script; nothing is left of it."""
    import tempfile

    from xrun.schedulers.slurm import limits

    found = machine.missing_secrets(info.app, os.environb)
    if why := home.unwritable(root):
        found.append(Problem("XR144", "options.job_root", why, "name a folder that you may write and all nodes see"))
    try:
        text = checked_text(info.request)
        with tempfile.NamedTemporaryFile("wb", prefix="xrun-", suffix=".sh") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            said = cluster.run("sinfo", "--noheader", f"--format={limits.FORMAT}")
            if beyond := list(limits.problems(info.request, limits.partitions(said))):
                found += beyond
            else:
                cluster.test(file.name, environment(info.request))
    except InvalidJob as refusal:
        found += refusal.problems
    except BackendError as error:
        if error.code != client.REFUSED:
            raise
        found.append(Problem(error.code, "options", str(error), "ask for what the cluster has; sinfo shows it"))
    return found
