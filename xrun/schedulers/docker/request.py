"""An AppDef as containers: what the engine is asked for, and the docker commands that ask the same by hand. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from xrun import __version__
from xrun.errors import InvalidJob, InvalidValue
from xrun.schedulers import images, replica
from xrun.schedulers.docker import labels
from xrun.schedulers.shell_words import secret, word
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.options import CommonOptions, option
from xrun.specs.problems import Severity
from xrun.specs.role import Role
from xrun.specs.serialize import to_dict

ERROR_FILE = "/tmp/xrun-error.json"  # noqa: S108 - inside a container that nobody else is in
MIB = 1 << 20

LEAST_CPU = 0.01
"""Part of a CPU below which the kernel takes no limit."""

_VARIABLES = {"replica_id": "$k", "rank0_env": macros.RANK0_HOST}

_INFINIBAND, _NEURON = "vpc.amazonaws.com/efa", "aws.amazon.com/neurondevice"


@dataclass(frozen=True)
class DockerOptions(CommonOptions):
    """Options of ``-s docker``."""

    host: str = option("", help="the engine's address, in a profile; empty for DOCKER_HOST or docker's context")
    pull: Literal["missing", "always", "never"] = option("missing", help="when to pull images")
    copy_env: list[str] = option([], help="globs of variables that containers get from the launcher, as NCCL_*")
    env: dict[str, str] = option({}, help="variables for all containers; a role's own win")
    user: str = option("", help="user[:group] that programs run as; empty for the image's")
    privileged: bool = option(False, help="give containers all devices and capabilities of the host")
    init: bool = option(True, help="run a small init as process 1: it passes signals on and reaps zombies")
    image_entrypoint: bool = option(False, help="start programs through the image's own ENTRYPOINT")
    shm_mb: int = option(0, help="MiB of /dev/shm; 0 for the role's memMB, or the engine's default without that")
    publish: bool = option(False, help="publish the roles' ports on free ports of the host; the status shows them")
    gpus: int = option(-1, help="number of GPUs to share out; -1 asks nvidia-smi")
    image_repo: str = option("", help="repository that images with workspaces are pushed to")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, number, least in (("shm_mb", self.shm_mb, 0), ("gpus", self.gpus, -1)):
            if number < least:
                raise InvalidValue(f"option {name}: {number} is less than {least}")


class DockerRequest(NamedTuple):
    """What the engine is asked for, but for what only the launcher knows (copied variables, secrets, GPUs, workspaces).

    Attributes:
        app_id: the app's id.
        handle: its handle.
        app: the job; nobody changes it any more.
        options: how to run it.
    """

    app_id: str
    handle: str
    app: AppDef
    options: DockerOptions

    @property
    def is_gang(self) -> bool:
        """Whether there is more than one replica, so that they need a network."""
        return sum(role.num_replicas for role in self.app.roles) > 1

    @property
    def is_supervised(self) -> bool:
        """Whether more must be done than the engine does by itself."""
        return self.is_gang or self.options.max_runtime > 0 or self.app.roles[0].max_retries > 0


def build(app: AppDef, options: DockerOptions, app_id: str, handle: str) -> DockerRequest:
    """The request for an app.

    Raises:
        InvalidJob: a role has no image, or names a script that no workspace carries; a variable of the options is none.
    """
    problems = [*images.problems(app.roles, options.image, "docker", no_image="XR124", no_script="XR126")]
    if options.env:
        from xrun.specs.validation import check_env

        problems += [p for p in check_env("options.env", options.env) if p.severity is Severity.ERROR]
    if problems:
        raise InvalidJob(problems)
    return DockerRequest(app_id, handle, app, options)


def notices(request: DockerRequest) -> Iterator[str]:
    """What an engine can't do to the letter, or has no use for, a line each."""
    if request.options.image_repo and not any(role.workspace for role in request.app.roles):
        yield f"image_repo {request.options.image_repo!r} is not used: images are pushed only with a workspace in them"
    for role in request.app.roles:
        if 0 < role.resource.cpu < LEAST_CPU:
            yield f"{role.name}: cpu {role.resource.cpu:g} is rounded to {LEAST_CPU}, the least that there is"
        for name in role.resource.devices:
            if name not in (_INFINIBAND, _NEURON):
                yield f"{role.name}: docker knows no device {name}, so it is left out; mount it with type=device"


def app_labels(request: DockerRequest) -> dict[str, str]:
    """The labels that everything of an app has."""
    return {
        labels.APP_ID: request.app_id,
        labels.HANDLE: request.handle,
        labels.NAME: request.app.name,
        labels.VERSION: __version__,
    }


def head_labels(request: DockerRequest) -> dict[str, str]:
    """What one container holds for all: the job."""
    return {
        labels.SPEC: json.dumps(to_dict(request.app), separators=(",", ":")),
        labels.OPTIONS: json.dumps(vars(request.options), separators=(",", ":")),
    }


def image_of(request: DockerRequest, role: Role) -> str:
    """A role's image, macros replaced."""
    values = replica.app_values(request.app_id, role, "")
    return macros.substitute(role.image or request.options.image, values)


def environment(request: DockerRequest, role: Role, k: int, restarts: labels.Restarts, img_root: str) -> dict[str, str]:
    """The variables of one attempt but for copied ones and secrets; later ones win: the options', the role's, ours."""
    app_id = request.app_id
    values = replica.replica_values(app_id, role, img_root, k)
    own = {name: macros.substitute(text, values) for name, text in role.env.items()}
    contract = replica.contract_env(
        app_id=app_id,
        handle=request.handle,
        role=role,
        replica_id=k,
        attempt=restarts.attempt,
        rank0=rank0_hosts(request),
        error_file=ERROR_FILE,
    )
    # tini, the engine's init, passes signals on to the whole process group if this is set
    init = {"TINI_KILL_PROCESS_GROUP": "1"} if request.options.init else {}
    return {"PYTHONUNBUFFERED": "1", **init, **request.options.env, **own, **contract}


def rank0_hosts(request: DockerRequest) -> dict[str, str]:
    """Role name -> host of its replica 0."""
    return {role.name: labels.host_name(request.app_id, role.name, 0) for role in request.app.roles}


def container(request: DockerRequest, r: int, k: int, img_root: str = "") -> dict[str, Any]:
    """The first attempt of one replica, in the engine's words (POST /containers/create)."""
    role, options, restarts = request.app.roles[r], request.options, labels.Restarts()
    values = replica.replica_values(request.app_id, role, img_root, k)
    entrypoint = macros.substitute(role.entrypoint, values)
    args = [macros.substitute(word, values) for word in role.args]
    env = environment(request, role, k, restarts, img_root)
    host = labels.host_name(request.app_id, role.name, k)
    config: dict[str, Any] = {
        "Image": image_of(request, role),
        "Cmd": [entrypoint, *args] if options.image_entrypoint else args,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Hostname": host,
        "Labels": {**app_labels(request), **labels.of_replica(r, role.name, k, restarts)},
        "StopSignal": "SIGTERM",
        "HostConfig": host_config(request, role),
    }
    if not options.image_entrypoint:
        config["Entrypoint"] = [entrypoint]
    if options.user:
        config["User"] = options.user
    if role.port_map:
        config["ExposedPorts"] = {f"{port}/tcp": {} for port in role.port_map.values()}
    if request.is_gang:
        config["NetworkingConfig"] = {"EndpointsConfig": {request.app_id: {"Aliases": [host]}}}
    return config


def host_config(request: DockerRequest, role: Role) -> dict[str, Any]:
    """Resources, mounts and ports of a role's containers, in the engine's words."""
    resource, options = role.resource, request.options
    values = replica.app_values(request.app_id, role, "")
    config: dict[str, Any] = {
        # this driver keeps every byte; json-file replaces what isn't UTF-8
        "LogConfig": {"Type": "local", "Config": {"max-size": "1g", "max-file": "2", "compress": "false"}},
        "Init": options.init,
        "Privileged": options.privileged,
        "RestartPolicy": {"Name": "no"},
        "Mounts": [m for mount in role.mounts if (m := _mount(mount, values))],
        "Devices": [*_devices(role), *(_device(m, values) for m in role.mounts if isinstance(m, DeviceMount))],
    }
    if request.is_gang:
        config["NetworkMode"] = request.app_id
    if resource.cpu > 0:
        config["NanoCpus"] = round(max(resource.cpu, LEAST_CPU) * 1e9)
    if resource.memMB > 0:
        config["Memory"] = config["MemorySwap"] = resource.memMB * MIB
    shm = options.shm_mb or max(resource.memMB, 0)
    if shm:
        config["ShmSize"] = shm * MIB
    if options.publish and role.port_map:
        config["PortBindings"] = {f"{port}/tcp": [{"HostPort": ""}] for port in role.port_map.values()}
    return config


def gpu_request(devices: list[str]) -> list[dict[str, Any]]:
    """Certain GPUs, in the engine's words; a count would give every container the same ones."""
    return [{"Driver": "nvidia", "DeviceIDs": devices, "Capabilities": [["gpu", "compute", "utility"]]}]


def render(request: DockerRequest) -> str:
    """A POSIX shell script that makes the same network and containers, starts them and waits for them.

    It has a block a role, however many replicas. Retries, gang, copied variables, GPUs and workspaces are xrun's.
    """
    lines = ["#!/bin/sh", f"# {request.handle}: what xrun asks of docker. Retries and gang are xrun's.", "set -eu"]
    lines.append("containers=")
    if request.is_gang:
        lines.append(f"docker network create {request.app_id}")
    for r, role in enumerate(request.app.roles):
        lines += _role_lines(request, r, role)
    lines += ["docker start $containers", "codes=$(docker wait $containers | sort -u)", 'test "$codes" = 0']
    return "\n".join(lines) + "\n"


def _role_lines(request: DockerRequest, r: int, role: Role) -> list[str]:
    config = container(request, r, 0)
    values = replica.app_values(request.app_id, role, "")
    host = labels.host_name(request.app_id, role.name, 0)[:-1]
    name = labels.container_name(request.app_id, role.name, 0, 0)[:-1]
    flags = [f"--name {name}$k", f"--hostname {host}$k", *_resource_flags(config, request.options)]
    if request.is_gang:
        flags.append(f"--network {request.app_id} --network-alias {host}$k")
    env = dict(pair.split("=", 1) for pair in config["Env"])
    own = role.env
    texts = {
        name: word(own[name], values, _VARIABLES) if name in own else shlex.quote(text) for name, text in env.items()
    }
    texts["XRUN_REPLICA_ID"] = "$k"
    flags += [f"-e {name}={text}" for name, text in texts.items()]
    flags += [f"-e {name}={secret(reference)}" for name, reference in role.secrets.items()]
    flags += [f"-l {name}={shlex.quote(text)}" for name, text in app_labels(request).items()]
    words = [word(text, values, _VARIABLES) for text in (role.entrypoint, *role.args)]
    image = shlex.quote(config["Image"])
    program = [image, *words] if request.options.image_entrypoint else [f"--entrypoint {words[0]}", image, *words[1:]]
    command = " \\\n    ".join(["docker create", *flags, " ".join(program)])
    return [
        f"# role {role.name}",
        f"k=0; while [ $k -lt {role.num_replicas} ]; do",
        f'  containers="$containers $({command})"',
        "  k=$((k + 1))",
        "done",
    ]


def _resource_flags(config: Mapping[str, Any], options: DockerOptions) -> list[str]:
    host = config["HostConfig"]
    flags = ["--init"] if options.init else []
    flags += ["--privileged"] if options.privileged else []
    flags += [f"--user {shlex.quote(options.user)}"] if options.user else []
    flags += [f"--cpus {host['NanoCpus'] / 1e9:g}"] if "NanoCpus" in host else []
    flags += [f"--memory {host['Memory']} --memory-swap {host['MemorySwap']}"] if "Memory" in host else []
    flags += [f"--shm-size {host['ShmSize']}"] if "ShmSize" in host else []
    for m in host["Mounts"]:
        fields = [f"type={m['Type']}", f"source={m['Source']}", f"target={m['Target']}"]
        fields += ["readonly"] if m["ReadOnly"] else []
        flags.append("--mount " + shlex.quote(",".join(_csv(field) for field in fields)))
    for d in host["Devices"]:
        flags.append("--device " + shlex.quote(f"{d['PathOnHost']}:{d['PathInContainer']}:{d['CgroupPermissions']}"))
    flags += [f"--publish {port.partition('/')[0]}" for port in host.get("PortBindings", ())]
    log = host["LogConfig"]
    flags += [f"--log-driver {log['Type']}", *(f"--log-opt {name}={text}" for name, text in log["Config"].items())]
    return [*flags, f"--stop-signal {config['StopSignal']}"]


def _csv(field: str) -> str:
    """One field of a line of values that commas separate."""
    return '"' + field.replace('"', '""') + '"' if any(c in field for c in ',"\n\r') else field


def _mount(mount: Any, values: Mapping[str, str]) -> dict[str, Any] | None:
    if isinstance(mount, DeviceMount):
        return None
    if isinstance(mount, BindMount):
        source, kind = mount.src_path, "bind"
    elif isinstance(mount, VolumeMount):
        source, kind = mount.src, "volume"
    else:
        raise TypeError(type(mount).__name__)
    target = macros.substitute(mount.dst_path, values)
    return {
        "Type": kind,
        "Source": macros.substitute(source, values),
        "Target": target,
        "ReadOnly": mount.read_only,
        # the engine puts the labels on a volume only if it makes it, so that delete knows ours
        **({"VolumeOptions": {"Labels": {labels.APP_ID: values["app_id"]}}} if kind == "volume" else {}),
    }


def _device(mount: DeviceMount, values: Mapping[str, str]) -> dict[str, str]:
    return {
        "PathOnHost": macros.substitute(mount.src_path, values),
        "PathInContainer": macros.substitute(mount.dst_path, values),
        "CgroupPermissions": mount.permissions,
    }


def _devices(role: Role) -> list[dict[str, str]]:
    """Devices that are asked for by the names that Kubernetes' device plugins have."""
    paths = []
    for name, count in role.resource.devices.items():
        if name == _INFINIBAND:
            paths += ["/dev/infiniband/rdma_cm", *(f"/dev/infiniband/uverbs{k}" for k in range(count))]
        elif name == _NEURON:
            paths += [f"/dev/neuron{k}" for k in range(count)]
    return [{"PathOnHost": p, "PathInContainer": p, "CgroupPermissions": "rwm"} for p in paths]
