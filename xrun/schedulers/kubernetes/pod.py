"""The pods of a role as a template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xrun.errors import InvalidValue
from xrun.schedulers import replica
from xrun.schedulers.kubernetes import labels, names
from xrun.schedulers.kubernetes.model import JOBSET, WORKDIR, Group, Plan
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.schedulers.kubernetes.overlay import WRONG, merge
from xrun.specs import macros
from xrun.specs.mounts import BindMount, DeviceMount, Mount, VolumeMount
from xrun.specs.resources import Resource

CONTAINER = "main"
"""The name of the container that the program runs in."""

UNPACKER = "xrun-workspace"
"""The name of the container that unpacks the workspace before."""

ERROR_FILE = "/dev/termination-log"
"""What a program leaves there is in the pod's status, and so in ours."""

ELASTIC_ERROR_FILE = "/tmp/xrun-error.json"  # noqa: S108 - inside a container that nobody else is in
"""For torchelastic, which removes the file first; that of the status can't be removed."""

EXIT = "xrun-exit"
"""Begins what a role that is not primary leaves: its program's exit code."""

# SIGTERM for every process of the pod but the first of each container, whose parent is outside, 0. Those the kubelet
# signals itself, once this has returned; it must not come later to them than to their children, which they may wait
# for, and what they start then is let be. So the children are noted now, and signalled when a first one was seen to
# wake up, or after $1 tenths of a second.
_TERM = (
    "p= r=; for f in /proc/[0-9]*; do q=${f#/proc/}; while read -r k v; do case $k$v in "
    'PPid:0) [ $q = $$ ] || r="$r $q";; PPid:*) p="$p $q";; esac; done <$f/status; done 2>/dev/null; '
    "w() { s=; for q in $r; do while read -r k v; do "
    'case $k in vol*) s="$s $v";; esac; done </proc/$q/status; done; }; '
    "(trap '' TERM; w; o=$s n=$1; sleep 0.2 || sleep 1; "
    'while w; [ "$s" = "$o" ] && [ $n -gt 0 ]; do sleep 0.1; n=$((n-1)); done; '
    "kill -TERM $p) </dev/null >/dev/null 2>&1 &"
)

STOPPED = 143
"""Exit code of such a role's pod that was stopped, so that one that was taken away is made anew: 0 would be done."""

_TAKEN = "XRUN_TAKEN_AWAY"
# two counts of the cluster's as one; a pod that nothing came before may lack the second
_COUNT = f"export XRUN_ATTEMPT=$((XRUN_ATTEMPT+${{{_TAKEN}:-0}})); unset {_TAKEN}"
_COUNTED = f'{_COUNT}; exec "$@"'

# $1 is the number of retries; failures stay inside, so that they end neither the pod's job nor the app
_IN_PLACE = f"""\
{_COUNT}
n=$1 stop=; shift
trap 'stop=1' TERM
while :; do
  "$@" & pid=$!
  wait $pid; code=$?
  while kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done
  [ $code != 0 ] && [ -z "$stop" ] && [ $n -gt 0 ] || break
  n=$((n-1)); export XRUN_ATTEMPT=$((XRUN_ATTEMPT+1))
done
old=$(cat {ERROR_FILE} 2>/dev/null)
printf '{EXIT} %s %s\\n%s' "$code" "$XRUN_ATTEMPT" "$old" >{ERROR_FILE}
[ -z "$stop" ] || exit {STOPPED}
"""

_ARCHIVE = "/xrun/workspace"
_UNPACK = (
    f"tar -xzf {_ARCHIVE}/tar.gz -C {WORKDIR} 2>/dev/null || "
    f'python3 -c \'import tarfile; tarfile.open("{_ARCHIVE}/tar.gz").extractall("{WORKDIR}")\' || '
    f"{{ echo 'the image has neither tar with gzip nor python3 to unpack the workspace' >&2; exit 1; }}"
)


def escaped(text: str) -> str:
    """A text that arrives as it is: Kubernetes expands ``$(NAME)`` and makes ``$$`` a ``$``."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def expanded(text: str, values: Mapping[str, str]) -> str:
    """A text with its macros, the replica's number as Kubernetes' own expansion."""
    if "${" not in text:
        return escaped(text)
    parts = macros.split(text)
    if ("macro", "replica_id") not in parts:
        return escaped(macros.substitute(text, values))
    known = {**values, "rank0_env": macros.RANK0_HOST}
    texts = (part if kind == "text" else known.get(part, "") for kind, part in parts)
    whole = [
        "$(XRUN_REPLICA_ID)" if pair == ("macro", "replica_id") else text.replace("$", "$$")
        for pair, text in zip(parts, texts, strict=True)
    ]
    return "".join(whole)


def template(
    plan: Plan, r: int, code: str, secret: str, overlays: Sequence[Mapping[str, Any]], shared: Mapping[str, str]
) -> dict[str, Any]:
    """A pod template.

    Args:
        plan: the app.
        r: which role.
        code: the ConfigMap that holds its workspace; empty for none.
        secret: the Secret that holds what was resolved at submission; empty for none.
        overlays: merged in, in order.
        shared: labels of everything of the app.

    Raises:
        InvalidValue: an overlay doesn't fit, or takes away what xrun knows the pods by.
    """
    group, options = plan.groups[r], plan.options
    role = group.role
    values = replica.replica_values(plan.app_id, role, WORKDIR if code else "", 0)
    meta: dict[str, Any] = {"labels": {**options.labels, **shared, labels.ROLE: role.name}}
    notes = {**options.annotations, **_topology(options)}
    if notes:
        meta["annotations"] = notes
    volumes, mounts = _volumes(role.mounts, role.resource, options, values)
    container: dict[str, Any] = {"name": CONTAINER, "image": macros.substitute(role.image or options.image, values)}
    if options.image_pull_policy:
        container["imagePullPolicy"] = options.image_pull_policy
    container |= _program(group, values)
    container["env"] = [*environment(plan, r, values, secret)]
    container |= _container(plan, r)
    spec: dict[str, Any] = {"restartPolicy": "Never", **_spec(plan, role.resource)}
    if code:
        container["workingDir"] = WORKDIR
        volumes += [{"name": "workspace", "emptyDir": {}}, {"name": "workspace-archive", "configMap": {"name": code}}]
        mounts.append({"name": "workspace", "mountPath": WORKDIR})
        spec["initContainers"] = [_unpacker(container, mounts[-1])]
    if mounts:
        container["volumeMounts"] = mounts
    spec["containers"] = [container]
    if volumes:
        spec["volumes"] = volumes
    made: dict[str, Any] = {"metadata": meta, "spec": spec}
    return _safe(_overlaid(made, overlays) if overlays else made)


def _overlaid(made: dict[str, Any], overlays: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged = made
    for overlay in overlays:
        merged = merge(merged, overlay)
    there = merged["metadata"].get("labels")
    if not isinstance(there, dict) or _own(there) != _own(made["metadata"]["labels"]):
        raise InvalidValue(f"overlay: labels that begin with {labels.PREFIX} are xrun's own", code=WRONG)
    containers = merged["spec"].get("containers")
    if not isinstance(containers, list) or CONTAINER not in [c.get("name") for c in containers if isinstance(c, dict)]:
        raise InvalidValue(f"overlay: the program's container, {CONTAINER}, has to stay", code=WRONG)
    if not all(isinstance(c, dict) for c in containers):
        raise InvalidValue("overlay: each of containers is a mapping", code=WRONG)
    return _unpacked_alike(merged, containers)


def _unpacked_alike(merged: dict[str, Any], containers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Who unpacks the workspace may and must do what the program may and must, as policies of the cluster demand."""
    context = next(c.get("securityContext") for c in containers if c.get("name") == CONTAINER)
    first = merged["spec"].get("initContainers")
    if not context or not isinstance(first, list):
        return merged
    alike = [
        {"securityContext": context, **c} if isinstance(c, dict) and c.get("name") == UNPACKER else c for c in first
    ]
    return {**merged, "spec": {**merged["spec"], "initContainers": alike}}


def _own(marks: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in marks.items() if key.startswith(labels.PREFIX)}


def environment(plan: Plan, r: int, values: Mapping[str, str], secret: str) -> Iterator[dict[str, Any]]:
    """The variables; what others refer to comes first."""
    group = plan.groups[r]
    role = group.role
    contract = replica.contract_env(
        app_id=plan.app_id,
        handle=plan.handle,
        role=role,
        replica_id=0,
        attempt=0,
        rank0={g.role.name: plan.host(i, 0) for i, g in enumerate(plan.groups)},
        error_file=ERROR_FILE,
    )
    contract["TORCHELASTIC_ERROR_FILE"] = ELASTIC_ERROR_FILE
    alone = group.replaced and not group.in_place
    fields = {"XRUN_REPLICA_ID": labels.INDEX, "XRUN_ATTEMPT": labels.FAILURES if alone else labels.RESTART}
    if group.retries or group.in_place:
        fields[_TAKEN] = labels.IGNORED
    for name, key in fields.items():
        contract.pop(name, None)
        yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}}
    texts = {"PYTHONUNBUFFERED": "1"} | {name: escaped(text) for name, text in plan.options.env.items()}
    texts |= {name: expanded(text, values) for name, text in role.env.items()}
    texts |= {name: escaped(text) for name, text in contract.items()}
    for name, text in texts.items():
        if name not in role.secrets:
            yield {"name": name, "value": text}
    for name, reference in role.secrets.items():
        kind, _, where = reference.partition(":")
        source, _, key = where.partition("/") if kind == "k8s" else (secret, "", f"{r}.{name}")
        yield {"name": name, "valueFrom": {"secretKeyRef": {"name": source, "key": key}}}


def resources(resource: Resource, options: KubernetesOptions) -> dict[str, Any]:
    """Limits, and requests if they differ; Kubernetes takes the limits for them else."""
    limits: dict[str, Any] = {}
    requests: dict[str, Any] = {}
    if resource.cpu > 0:
        limits["cpu"] = _cpu(resource.cpu)
        requests["cpu"] = _cpu(max(resource.cpu - options.cpu_overhead, 0.001))
    if resource.memMB > 0:
        limits["memory"] = f"{resource.memMB}Mi"
        requests["memory"] = f"{max(resource.memMB - options.mem_overhead_mb, 1)}Mi"
    for name, count in ((options.gpu_resource, resource.gpu), *resource.devices.items()):
        if count > 0:
            limits[name] = requests[name] = count
    if not limits:
        return {}
    return {"limits": limits} if requests == limits else {"limits": limits, "requests": requests}


def grace(options: KubernetesOptions) -> int:
    """The grace period in whole seconds; with none a pod would be removed while its programs run."""
    return max(1, math.ceil(options.grace_period))


def _program(group: Group, values: Mapping[str, str]) -> dict[str, Any]:
    # what is known only inside each pod is not in an entrypoint
    entrypoint = escaped(macros.substitute(group.role.entrypoint, values))
    args = [expanded(word, values) for word in group.role.args]
    if group.in_place:
        command = ["sh", "-c", escaped(_IN_PLACE), "sh", str(group.retries)]
        return {"command": command, "args": [entrypoint, *args]}
    if group.retries:
        return {"command": ["sh", "-c", escaped(_COUNTED), "sh"], "args": [entrypoint, *args]}
    return {"command": [entrypoint], **({"args": args} if args else {})}


def _container(plan: Plan, r: int) -> dict[str, Any]:
    role, options = plan.groups[r].role, plan.options
    found: dict[str, Any] = {}
    if limits := resources(role.resource, options):
        found["resources"] = limits
    ports: list[dict[str, Any]] = []
    for name, number in role.port_map.items():
        plain = names.port_name(name)
        known = not plain or any(port.get("name") == plain for port in ports)
        ports.append({"containerPort": number} if known else {"containerPort": number, "name": plain})
    if ports:
        found["ports"] = ports
    tenths = str(max(2, min(20, grace(options) * 4 - 2)))
    found["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", _TERM, "sh", tenths]}}}
    found["terminationMessagePolicy"] = "FallbackToLogsOnError"
    if options.privileged:
        found["securityContext"] = {"privileged": True}
    return found


def _spec(plan: Plan, resource: Resource) -> dict[str, Any]:
    options = plan.options
    spec: dict[str, Any] = {"terminationGracePeriodSeconds": grace(options), "enableServiceLinks": False}
    if options.share_processes:
        spec["shareProcessNamespace"] = True
    if plan.kind != JOBSET and not plan.alone:
        spec["subdomain"] = plan.name
    texts = {
        "serviceAccountName": options.service_account,
        "priorityClassName": options.priority_class,
        "schedulerName": options.scheduler_name,
    }
    spec |= {name: word for name, word in texts.items() if word}
    if selector := {**options.node_selector, **{key: text(value) for key, value in resource.capabilities.items()}}:
        spec["nodeSelector"] = selector
    if options.tolerations:
        spec["tolerations"] = [toleration(word) for word in options.tolerations]
    if options.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    user = {"runAsUser": options.run_as_user, "runAsGroup": options.run_as_group, "fsGroup": options.fs_group}
    context: dict[str, Any] = {name: number for name, number in user.items() if number >= 0}
    if options.run_as_user > 0:
        context["runAsNonRoot"] = True
    if context:
        spec["securityContext"] = context
    return spec


def toleration(word: str) -> dict[str, str]:
    """``KEY[=VALUE][:EFFECT]`` or ``*``."""
    if word == "*":
        return {"operator": "Exists"}
    head, _, effect = word.partition(":")
    key, equals, value = head.partition("=")
    found = {"key": key, "operator": "Equal", "value": value} if equals else {"key": key, "operator": "Exists"}
    return {**found, "effect": effect} if effect else found


def text(value: Any) -> str:
    """A capability as the value of a label."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _topology(options: KubernetesOptions) -> dict[str, str]:
    asked = {labels.TOPOLOGY_REQUIRED: options.topology_required, labels.TOPOLOGY_PREFERRED: options.topology_preferred}
    return {key: value for key, value in asked.items() if value}


def _volumes(
    mounts: Sequence[Mount], resource: Resource, options: KubernetesOptions, values: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: list[dict[str, Any]] = []
    places: list[dict[str, Any]] = []
    for i, mount in enumerate(mounts):
        source, target = _source(mount, values), macros.substitute(mount.dst_path, values)
        volumes.append({"name": f"mount-{i}", **source})
        place: dict[str, Any] = {"name": f"mount-{i}", "mountPath": target}
        if not isinstance(mount, DeviceMount) and mount.read_only:
            place["readOnly"] = True
        places.append(place)
    shm = options.shm_mb or max(resource.memMB, 0)
    if shm and "/dev/shm" not in [place["mountPath"] for place in places]:  # noqa: S108 - that is its name
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{shm}Mi"}})
        places.append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - that is its name
    return volumes, places


def _source(mount: Mount, values: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(mount, BindMount):
        return {"hostPath": {"path": macros.substitute(mount.src_path, values)}}
    if isinstance(mount, DeviceMount):
        return {"hostPath": {"path": macros.substitute(mount.src_path, values)}}
    if not isinstance(mount, VolumeMount):
        raise TypeError(type(mount).__name__)
    name = macros.substitute(mount.src, values)
    kind, colon, rest = name.partition(":")
    if colon and kind in VOLUMES:
        return VOLUMES[kind](rest)
    return {"persistentVolumeClaim": {"claimName": name}}


def _empty(size: str) -> dict[str, Any]:
    memory, _, rest = size.partition(":") if size.partition(":")[0] == "memory" else ("", "", size)
    asked = {"medium": "Memory" if memory else "", "sizeLimit": rest}
    return {"emptyDir": {name: word for name, word in asked.items() if word}}


VOLUMES = {
    "pvc": lambda name: {"persistentVolumeClaim": {"claimName": name}},
    "configmap": lambda name: {"configMap": {"name": name}},
    "secret": lambda name: {"secret": {"secretName": name}},
    "emptydir": _empty,
}
"""What a volume's name may begin with, before a colon; without, it is a claim's."""


def _unpacker(container: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"name": UNPACKER, "image": container["image"]}
    made |= {key: container[key] for key in ("imagePullPolicy", "resources") if key in container}
    made["command"] = ["sh", "-c", _UNPACK]
    made["terminationMessagePolicy"] = "FallbackToLogsOnError"
    made["volumeMounts"] = [dict(place), {"name": "workspace-archive", "mountPath": _ARCHIVE, "readOnly": True}]
    return made


def _cpu(cpu: float) -> str:
    return str(int(cpu)) if cpu % 1 == 0 else f"{max(1, math.ceil(round(cpu * 1000, 6)))}m"


def _safe(made: dict[str, Any]) -> dict[str, Any]:
    """Without what would reach processes of the node, in a pod that sees them."""
    spec = made["spec"]
    if spec.get("hostPID"):
        spec = {name: value for name, value in spec.items() if name != "shareProcessNamespace"}
        spec["containers"] = [
            {
                k: v
                for k, v in c.items()
                if k != "lifecycle" or _TERM not in ((v.get("preStop") or {}).get("exec") or {}).get("command", ())
            }
            for c in spec["containers"]
        ]
        made = {**made, "spec": spec}
    return made
