"""An AppDef as objects of a cluster, and as the YAML that asks for the same by hand. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xrun import __version__
from xrun.errors import InvalidJob
from xrun.schedulers import images
from xrun.schedulers.kubernetes import job, jobset, labels, model, names, pod
from xrun.schedulers.kubernetes.model import JOBSET, Overlay, Plan
from xrun.schedulers.kubernetes.options import KubernetesOptions
from xrun.specs.app import AppDef
from xrun.specs.problems import Problem, Severity
from xrun.specs.role import Role
from xrun.specs.serialize import to_dict

OVERLAY = "kubernetes"
"""Key of Role.metadata: a part of a pod template that is merged into the role's, or the file that holds it."""

MAX_ANNOTATIONS = 256 * 1024
MAX_OBJECT = 1_400_000
"""Bytes of an object's annotations, which the API server checks, and of all of it, which etcd does (at 1.5 MB)."""

_WIDTH = 1000  # of lines; breaks in texts would only make them longer
_COMPRESSED = 100_000  # bytes of a job's description from which on it is compressed
_NO_IMAGE, _NO_SCRIPT = "XR161", "XR162"


class KubernetesRequest(NamedTuple):
    """What a cluster is asked for, but for what only the launcher knows (secrets, workspaces, who and when).

    Attributes:
        plan: the app as groups of pods.
        overlays: for each role: what is merged into its pods.
    """

    plan: Plan
    overlays: Sequence[Sequence[Overlay]]


def build(
    app: AppDef, options: KubernetesOptions, app_id: str, handle: str, overlays: Sequence[Sequence[Overlay]] = ()
) -> KubernetesRequest:
    """The request for an app.

    Raises:
        InvalidJob: it lacks something, is too big, or combines what no object can do together.
    """
    found = [
        *images.problems(app.roles, options.image, "kubernetes", no_image=_NO_IMAGE, no_script=_NO_SCRIPT),
        *model.problems(app, options),
        *_name_problems(app, options),
    ]
    if options.env:
        from xrun.specs.validation import check_env

        found += [p for p in check_env("options.env", options.env) if p.severity is Severity.ERROR]
    if found:
        raise InvalidJob(found)
    made = KubernetesRequest(model.plan(app, options, app_id, handle), overlays or [()] * len(app.roles))
    _check_size(made)
    return made


def notices(request: KubernetesRequest) -> Iterator[str]:
    """What a cluster can't do to the letter, a line each."""
    options, plan = request.plan.options, request.plan
    if pod.grace(options) != options.grace_period:
        yield f"grace_period {options.grace_period:g} is rounded to {pod.grace(options)} s"
    if options.max_runtime % 1:
        yield f"max_runtime {options.max_runtime:g} is rounded to {math.ceil(options.max_runtime)} s"
    if options.max_runtime and not all(group.replaced for group in plan.groups):
        whole = f"each of {plan.max_restarts} restarts and " if plan.max_restarts else ""
        yield f"max_runtime counts anew after {whole}each time that pods are taken away, which restarts the whole app"
    if options.max_runtime and options.queue:
        yield "max_runtime counts anew each time that Kueue lets the app begin"
    if options.queue_priority and not options.queue:
        yield "queue_priority is not used without queue"


def shared_labels(plan: Plan) -> dict[str, str]:
    """The label that everything of an app has."""
    return {labels.APP_ID: plan.name}


def head(
    request: KubernetesRequest, code: Mapping[int, str] | None = None, own: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The app's own object, which all else belongs to.

    Args:
        request: the request.
        code: role -> ConfigMap of its workspace.
        own: annotations of one submission.
    """
    plan = request.plan
    shared = shared_labels(plan)
    meta: dict[str, Any] = {"name": plan.name}
    if plan.namespace:
        meta["namespace"] = plan.namespace
    meta["labels"] = {**plan.options.labels, **shared, **job.queue_labels(plan)}
    meta["annotations"] = {**plan.options.annotations, **notes(plan), **(own or {})}
    templates = [
        pod.template(plan, r, (code or {}).get(r, ""), secret_name(plan), request.overlays[r], shared)
        for r in range(len(plan.groups))
    ]
    if plan.kind == JOBSET:
        return jobset.jobset(plan, meta, templates, shared)
    return job.job(plan, meta, templates[0])


def companions(request: KubernetesRequest) -> list[dict[str, Any]]:
    """What is made after the app's object and belongs to it."""
    plan = request.plan
    if plan.kind == JOBSET or plan.alone:
        return []  # JobSet's controller makes the service of a JobSet
    made = job.service(plan, shared_labels(plan))
    if plan.namespace:
        made["metadata"]["namespace"] = plan.namespace
    return [made]


def render(
    request: KubernetesRequest, code: Mapping[int, str] | None = None, before: Sequence[Mapping[str, Any]] = ()
) -> str:
    """YAML for ``kubectl apply -f -``; secrets of the launcher are left to whoever applies it.

    Args:
        request: the request.
        code: role -> ConfigMap of its workspace.
        before: the ConfigMaps.
    """
    from xrun.specs.serialize import plain_to_yaml

    secret = secret_name(request.plan)
    documents = [*before, head(request, code), *companions(request)]
    said = f"# {request.plan.handle}\n"
    for name, reference in local_secrets(request.plan.app.roles):
        said += f"# Secret {secret}, key {name}: {reference}\n"
    return said + "---\n".join(plain_to_yaml(document, _WIDTH) for document in documents)


def notes(plan: Plan) -> dict[str, str]:
    """What an app's object holds so that it is found and described again."""
    given = _given(plan.options)
    return {
        labels.HANDLE: plan.handle,
        labels.NAME: plan.app.name,
        labels.VERSION: __version__,
        labels.SPEC: _packed(json.dumps(_filled(plan.app), separators=(",", ":"), ensure_ascii=False)),
        **({labels.OPTIONS: json.dumps(given, separators=(",", ":"), ensure_ascii=False)} if given else {}),
    }


def unpacked(text: str) -> str:
    """What `notes` wrote of an AppDef, as JSON."""
    if not text.startswith("z:"):
        return text
    import base64
    import zlib

    return zlib.decompress(base64.b64decode(text[2:])).decode()


def secret_name(plan: Plan) -> str:
    """The Secret with what was resolved at submission; empty if nothing was."""
    return plan.name if any(True for _ in local_secrets(plan.app.roles)) else ""


def local_secrets(roles: Sequence[Role]) -> Iterator[tuple[str, str]]:
    """Key in the Secret, and the reference, of each secret that only the launcher has."""
    for r, role in enumerate(roles):
        for name, reference in role.secrets.items():
            if not reference.startswith("k8s:"):
                yield f"{r}.{name}", reference


def _packed(text: str) -> str:
    if len(text) < _COMPRESSED:
        return text
    import base64
    import zlib

    return "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _filled(app: AppDef) -> dict[str, Any]:
    """The job without fields that hold nothing, as they do by default."""
    plain = to_dict(app)
    for role in plain["roles"]:
        role["resource"] = {name: value for name, value in role["resource"].items() if value != {}}
        for name in [name for name, value in role.items() if value in (None, "", {}, [])]:
            del role[name]
    return plain


def _given(options: KubernetesOptions) -> dict[str, Any]:
    """The options that are not as they are by default."""
    usual = vars(_USUAL)
    return {name: value for name, value in vars(options).items() if value != usual[name]}


_USUAL = KubernetesOptions()


def _name_problems(app: AppDef, options: KubernetesOptions) -> Iterator[Problem]:
    if options.namespace and not names.is_namespace(options.namespace):
        fix = "lower-case letters, digits and '-', at most 63"
        yield Problem("XR165", "options.namespace", f"{options.namespace!r} can't be a namespace", fix)
    yield from _label_problems(options)
    for i, role in enumerate(app.roles):
        for name, value in role.resource.capabilities.items():
            at = f"roles[{i}].resource.capabilities"
            if not names.is_key(name):
                yield Problem("XR165", at, f"{name!r} can't be a node's label", _KEY_FIX)
            elif not isinstance(value, str | int | bool) or not names.is_label_value(pod.text(value)):
                yield Problem("XR165", f"{at}.{name}", f"{value!r} can't be a node label's value", _VALUE_FIX)
        for name in role.resource.devices:
            at = f"roles[{i}].resource.devices"
            if not names.is_key(name):
                yield Problem("XR165", at, f"{name!r} can't be a resource", _KEY_FIX)
            elif name in ("cpu", "memory", *([options.gpu_resource] if role.resource.gpu > 0 else [])):
                yield Problem("XR165", at, f"{name} is asked for twice", "leave it out, or what else asks for it")


def _label_problems(options: KubernetesOptions) -> Iterator[Problem]:
    for name in (*options.labels, *options.annotations, *options.node_selector):
        if not names.is_key(name):
            yield Problem("XR165", "options", f"{name!r} can't be the key of a label", _KEY_FIX)
    for name in (*options.labels, *options.annotations):
        if name.startswith(labels.PREFIX):
            yield Problem("XR165", "options", f"{name!r} is xrun's own", f"leave out what begins with {labels.PREFIX}")
    for name, value in {**options.labels, **options.node_selector}.items():
        if not names.is_label_value(value):
            yield Problem("XR165", "options", f"{value!r} can't be the value of label {name}", _VALUE_FIX)


_KEY_FIX = "[DOMAIN/]NAME of letters, digits, '-', '_' and '.', as in nvidia.com/gpu"
_VALUE_FIX = "at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last"


def _check_size(request: KubernetesRequest) -> None:
    plan = request.plan
    kept = sum(len(key) + len(text.encode()) for key, text in notes(plan).items())
    size = kept + sum(len(word.encode()) for role in plan.app.roles for word in (*role.args, *role.env.values()))
    if kept > MAX_ANNOTATIONS:
        message = f"its description has {kept} bytes, and Kubernetes keeps {MAX_ANNOTATIONS} with an object"
    elif size > MAX_OBJECT:
        message = f"it has {size} bytes, and Kubernetes takes {MAX_OBJECT} in one object"
    else:
        return
    fix = "pass long arguments and variables in files: a workspace, a volume or a ConfigMap"
    raise InvalidJob([Problem("XR166", "app", message, fix)])
