"""A request as the text of an sbatch script. Pure."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterator

from xrun.schedulers import replica
from xrun.schedulers.shell_words import secret, word
from xrun.schedulers.slurm.request import SlurmOptions, SlurmRequest, lead, shape
from xrun.specs import macros
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.workspace import GIT_ROOT, Workspace

_VARIABLES = {"replica_id": "$XRUN_REPLICA_ID", "rank0_env": macros.RANK0_HOST, "img_root": "$PWD"}
_AT_RUN_TIME = ("XRUN_REPLICA_ID", "XRUN_ATTEMPT", "XRUN_ERROR_FILE", "TORCHELASTIC_ERROR_FILE", macros.RANK0_HOST)

_SRUN = '''\
  # a node that does not see the folder says so
  exec srun $_where $_overlap --kill-on-bad-exit=0 --wait=0 --export=ALL sh -c \\
    '[ ! -e "$0" ] || exec sh "$0" "$@"; echo "end $1 $SLURM_PROCID 0 $(date +%s.%N) 1 unseen $SLURMD_NODENAME"' \\
    "$_folder/job.sh" $1 "$_place"'''

LIBRARY = "xrun.sh"
"""File of a job's folder with what is the same for every job; the script brings it if nobody else has."""

SECRETS = "secrets"
"""File of a job's folder that says what its script can't: functions ``secrets0``, ... that export them."""


def text(request: SlurmRequest) -> str:
    """The script, as it is submitted and as a person may submit it."""
    options = request.options
    lines = ["#!/bin/bash" if options.modules or options.setup else "#!/bin/sh", *_directives(request)]
    lines += [
        f"# {request.handle}: what xrun asks of Slurm. By hand: sbatch THIS_FILE",
        (
            f"_folder={shlex.quote(request.folder)} _grace={options.grace_period:g} "
            f"_lead={lead(options)} _requeues={options.max_requeues if options.requeue else 0}"
        ),
        f'_roles="{" ".join(map(str, range(len(request.app.roles))))}"',
        f"export XRUN_APP_ID={request.app_id} XRUN_HANDLE={shlex.quote(request.handle)}",
        'export PYTHONUNBUFFERED="${PYTHONUNBUFFERED-1}"',
        "",
    ]
    roles = "\n".join(line for r, role in enumerate(request.app.roles) for line in _role(request, r, role))
    if "\r" in roles:  # in quotes; sbatch takes one before a line end for a file from DOS, and refuses
        lines.append("_cr=$(printf '\\r')")
        roles = roles.replace("\r", "'\"$_cr\"'")
    lines.append(roles)
    lines += [*_about(request), *_step(request), *_prepare(request), ""]
    return (
        "\n".join(lines)
        + f"""\
[ -e "$_folder/{LIBRARY}" ] || {{ mkdir -p "$_folder" && cp {shlex.quote(library_path())} "$_folder"; }} || exit
. "$_folder/{LIBRARY}"
"""
    )


def library_path() -> str:
    """Where the file `LIBRARY` comes from."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), LIBRARY)


def workspaces(request: SlurmRequest) -> dict[str, Workspace]:
    """The copies of local code that a job's folder has, by name."""
    found = {workspace_name(request, role): role.workspace for role in request.app.roles if role.workspace}
    return {name: workspace for name, workspace in found.items() if workspace is not None}


def workspace_name(request: SlurmRequest, role: Role) -> str:
    """The name of the copy that a role runs in; roles with the same code share it."""
    texts = list(dict.fromkeys(str(one.workspace) for one in request.app.roles if one.workspace))
    return f"workspace{texts.index(str(role.workspace))}"


def secrets_text(values: list[dict[str, bytes]]) -> bytes:
    """The file `SECRETS`.

    Args:
        values: for each role, variable -> value.
    """
    lines = []
    for r, one in enumerate(values):
        if one:
            pairs = " ".join(f"{name}={shlex.quote(os_text(value))}" for name, value in one.items())
            lines.append(f"secrets{r}() {{ export {pairs}; }}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def os_text(value: bytes) -> str:
    """Bytes as text that becomes the same bytes again."""
    return value.decode("utf-8", "surrogateescape")


def _directives(request: SlurmRequest) -> Iterator[str]:
    """The ``#SBATCH`` lines; those of a heterogeneous job's further components come after ``hetjob``."""
    options, roles = request.options, request.app.roles
    yield from map(_directive, _of_job(request))
    if not request.is_het:
        yield from map(_directive, [*_of_nodes(options), *_size(roles, options)])
        return
    for r, role in enumerate(roles):
        if r:
            yield "#SBATCH hetjob"
            yield _directive(f"--job-name={request.app_id}")
        yield from map(_directive, [*_of_nodes(options), *_size([role], options)])


def _directive(argument: str) -> str:
    name, equals, value = argument.partition("=")
    plain = shlex.quote(value) == value or not equals
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f"#SBATCH {argument}" if plain else f'#SBATCH {name}="{escaped}"'


def _of_job(request: SlurmRequest) -> Iterator[str]:
    options = request.options
    yield f"--job-name={request.app_id}"
    yield "--open-mode=append"
    yield "--requeue" if options.requeue else "--no-requeue"
    yield f"--signal={options.signal or f'B:USR2@{lead(options)}'}"
    if not options.inherit_env:
        yield "--export=NIL"
    if options.dependency:
        yield from (f"--dependency={options.dependency}", "--kill-on-invalid-dep=yes")
    for name in ("mail_user", "mail_type", "comment"):
        if getattr(options, name):
            yield f"--{name.replace('_', '-')}={getattr(options, name)}"


def _of_nodes(options: SlurmOptions) -> Iterator[str]:
    names = ("partition", "account", "qos", "constraint", "reservation", "nodelist", "exclude", "licenses")
    for name in names:
        if getattr(options, name):
            yield f"--{name}={getattr(options, name)}"
    if options.time:
        yield f"--time={options.time}"
    elif options.max_runtime > 0:  # in minutes, and late enough to be of no consequence
        yield f"--time={math.ceil((options.max_runtime + 2 * options.grace_period) / 60) + 2}"
    if options.exclusive:
        yield "--exclusive"
    yield from options.sbatch_args


def _size(roles: list[Role], options: SlurmOptions) -> Iterator[str]:
    """What some roles need together: on the same nodes, if there are several."""
    shapes = [shape(role, options) for role in roles]
    yield f"--nodes={max(s.nodes for s in shapes)}"
    if len(roles) == 1 and shapes[0].per_node > 1:
        yield f"--ntasks={roles[0].num_replicas}"
    yield f"--ntasks-per-node={sum(s.per_node for s in shapes)}"
    cpus = max(s.cpus for s in shapes)
    if cpus:
        yield f"--cpus-per-task={cpus}"
    memory = sum(max(role.resource.memMB, 0) * s.per_node for role, s in zip(roles, shapes, strict=True))
    if memory:
        yield f"--mem={memory}M"
    gpus = sum(max(role.resource.gpu, 0) * s.per_node for role, s in zip(roles, shapes, strict=True))
    if gpus:
        yield f"--gpus-per-node={gpus}"


def _role(request: SlurmRequest, r: int, role: Role) -> Iterator[str]:
    """What one replica of a role runs."""
    hosts = {one.name: "" for one in request.app.roles}
    contract = replica.contract_env(
        app_id=request.app_id,
        handle=request.handle,
        role=role,
        replica_id=0,
        attempt=0,
        rank0=hosts,
        error_file="",
    )
    fixed = (f"{k}={shlex.quote(contract[k])}" for k in ("XRUN_ROLE", "XRUN_NUM_REPLICAS", "XRUN_RDZV_PORT"))
    values = {"app_id": request.app_id, "num_replicas": str(role.num_replicas)}
    tries = role.max_retries if role.retry_policy is RetryPolicy.REPLICA else 0
    yield f"role{r}() {{ # {role.num_replicas} x {role.name}"
    yield f'  export {" ".join(fixed)} {macros.RANK0_HOST}="${replica.rank0_variable(role.name)}"'
    yield f"  _retries={tries}"
    program = " ".join(word(one, values, _VARIABLES) for one in (role.entrypoint, *role.args))
    if role.env:
        yield "  replica env \\"
        for name, value in role.env.items():
            yield f"    {name}={word(value, values, _VARIABLES)} \\"
        yield f'    "$(command -v setsid)" {program}'
    else:
        yield f"  replica setsid {program}"
    yield "}"
    if role.secrets:
        pairs = " ".join(f"{name}={secret(reference)}" for name, reference in role.secrets.items())
        yield f"secrets{r}() {{ export {pairs}; }}"
    yield ""


def _about(request: SlurmRequest) -> Iterator[str]:
    """What the rules need to know of each role."""
    yield "about() { # about ROLE: what the rules need to know of it"
    yield "  case $1 in"
    every = " ".join(map(str, range(len(request.app.roles))))
    for r, role in enumerate(request.app.roles):
        scope, group = "", ""
        if role.max_retries and role.retry_policy is not RetryPolicy.REPLICA:
            whole = role.retry_policy is RetryPolicy.APPLICATION and role.primary
            scope, group = ("all", every) if whole else (str(r), str(r))
        spare = role.num_replicas - (role.min_replicas or role.num_replicas)
        primary = "yes" if role.primary else "no"
        yield (
            f"  {r}) _replicas={role.num_replicas} _spare={spare} _primary={primary} "
            f'_retries={role.max_retries} _scope={scope} _group="{group}" ;;'
        )
    yield from ("  esac", "}")


def _step(request: SlurmRequest) -> Iterator[str]:
    """How the tasks of a role are started."""
    options = request.options
    yield from ("step() { # step ROLE: runs it", "  case $1 in")
    for r, role in enumerate(request.app.roles):
        nodes, per_node, cpus = shape(role, options)
        flags = [f"--het-group={r}"] if request.is_het else []
        flags += [f"--nodes={nodes}", f"--ntasks={role.num_replicas}", f"--ntasks-per-node={per_node}"]
        flags += [f"--cpus-per-task={cpus}"] if cpus else []
        if len(request.app.roles) > 1 and options.packed:
            flags += ["--exact", f"--mem={role.resource.memMB * per_node}M" if role.resource.memMB > 0 else "--mem=0"]
        if role.resource.gpu > 0 and (per_node > 1 or options.packed):
            flags += [f"--gpus-per-task={role.resource.gpu}"]
        elif options.packed and len(request.app.roles) > 1:
            flags += ["--gres=none"]
        secrets = f"secrets{r}; " if role.secrets else ""
        place = f'"$_folder/{workspace_name(request, role)}"' if role.workspace else '"$PWD"'
        yield f'  {r}) {secrets}_place={place} _where="{" ".join(flags)}" ;;'
    yield "  esac"
    if options.packed and len(request.app.roles) > 1:
        yield "  unset SLURM_GPUS_PER_NODE # the job's; a step would take them all"
    yield _SRUN
    yield "}"


def _prepare(request: SlurmRequest) -> Iterator[str]:
    """What is done once, on the first node."""
    options, roles = request.options, request.app.roles
    yield "prepare() {"
    if not all(role.workspace for role in roles):
        named = (re.fullmatch("(?:--chdir=|-D)(.+)", argument) for argument in options.sbatch_args)
        asked = [found[1] for found in named if found]
        yield " ".join(["  see_folder", *map(shlex.quote, asked[-1:])])
    for r, role in enumerate(roles):
        nodes = f"$SLURM_JOB_NODELIST_HET_GROUP_{r}" if request.is_het else "$SLURM_JOB_NODELIST"
        yield f'  export {replica.rank0_variable(role.name)}="$(address "{nodes}")"'
    for name, workspace in workspaces(request).items():
        yield f'  [ -e "$_folder/{name}" ] || {_by_hand(workspace)} "$_folder/{name}" || exit'
    if any(role.secrets for role in roles):
        yield f'  [ ! -e "$_folder/{SECRETS}" ] || . "$_folder/{SECRETS}"'
    if options.modules:
        yield "  command -v module >/dev/null || . /etc/profile"
        yield f"  module load {' '.join(map(shlex.quote, options.modules))} || exit"
    yield from (f"  {line}" for line in options.setup)
    if options.setup:
        yield "  set +eu"
    if options.max_runtime > 0:
        yield f"  after {options.max_runtime:g} overtime"
    yield "}"


def _by_hand(workspace: Workspace) -> str:
    """What stands for xrun's copy of a workspace, if a person submits the script: the folder itself."""
    (source, place), *more = workspace.projects.items()
    folder = source.removeprefix("file://")
    if more or place or ("://" in folder and source != GIT_ROOT):
        return "{ echo 'xrun run copies the workspace, this script alone can not' >&2; false; } #"
    if source == GIT_ROOT:
        return 'ln -s "$(git rev-parse --show-toplevel)"'
    return f"ln -s {shlex.quote(folder)}" if os.path.isabs(folder) else f'ln -s "$PWD"/{shlex.quote(folder)}'
