"""Everything that is wrong with a job, found in one pass, before any scheduler sees it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from xrun.errors import suggestion
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.problems import Problem, Severity
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.workspace import Workspace

MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes in one argument or one ``NAME=value``: Linux's MAX_ARG_STRLEN, 32 pages, less the ending NUL (execve(2))."""

_ROLE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+|k8s:[a-z0-9.-]+/[A-Za-z0-9._-]+", re.DOTALL)
_BRACES = re.compile(r"(\$*)\$\{([A-Za-z_0-9]+)\}")
_NESTED = re.compile(r"\$\$?\{\s*\$+\{")
_MACROS = (*macros.APP_LEVEL, *macros.REPLICA_LEVEL)

Found = Iterator[Problem]


def validate(app: AppDef) -> list[Problem]:
    """Checks a job that may have been built step by step, by hand or by a program, with any value in any field.

    Args:
        app: the job; it is not changed.

    Returns:
        Every problem at once, errors and warnings, in the order of the fields; empty if there is none.
    """
    found = list(_check_app(app))
    if isinstance(app.roles, list):
        for i, role in enumerate(app.roles):
            if isinstance(role, Role):
                found += _check_role(role, f"roles[{i}]")
            else:
                found.append(_wrong_type(f"roles[{i}]", role, "a Role"))
    return found


def _check_app(app: AppDef) -> Found:
    if not isinstance(app.name, str) or not app.name.strip():
        yield Problem("XR001", "name", f"the app's name is {app.name!r}", "give it a short lower-case name")
    else:
        yield from _check_text("name", app.name)
    if not isinstance(app.metadata, dict):
        yield _wrong_type("metadata", app.metadata, "a dict")
    if not isinstance(app.roles, list):
        yield _wrong_type("roles", app.roles, "a list of Role")
        return
    if not app.roles:
        yield Problem("XR002", "roles", "the app has no roles", "add at least one Role")
        return
    roles = [r for r in app.roles if isinstance(r, Role)]
    if roles and not any(r.primary for r in roles):
        yield Problem("XR003", "roles", "no role is primary, so nothing decides the end", "leave primary=True on one")
    for name, count in Counter(_env_suffix(r.name) for r in roles if isinstance(r.name, str)).items():
        if count > 1:
            same = ", ".join(repr(r.name) for r in roles if isinstance(r.name, str) and _env_suffix(r.name) == name)
            yield Problem("XR004", "roles", f"role names are not unique: {same}", "names may differ in more than - _ . and case")


def _check_role(role: Role, path: str) -> Found:
    if not isinstance(role.name, str) or not _ROLE_NAME.fullmatch(role.name):
        fix = "1 to 63 letters, digits, '.', '_' and '-', a letter or digit first and last"
        yield Problem("XR005", f"{path}.name", f"{role.name!r} can't be a role's name", fix)
    if not isinstance(role.entrypoint, str):
        yield _wrong_type(f"{path}.entrypoint", role.entrypoint, "a string")
    elif not role.entrypoint or role.entrypoint == "<MISSING>":
        yield Problem("XR006", f"{path}.entrypoint", "there is no entrypoint", "name the program to run")
    else:
        yield from _check_text(f"{path}.entrypoint", role.entrypoint, replica_macros=False)
    if isinstance(role.image, str):
        yield from _check_text(f"{path}.image", role.image, replica_macros=False)
    else:
        yield _wrong_type(f"{path}.image", role.image, "a string")
    yield from _check_counts(role, path)
    yield from _check_args(role, path)
    yield from _check_env(role, path)
    if role.secrets:
        yield from _check_secrets(role, path)
    if role.port_map:
        yield from _check_ports(role, path)
    if role.mounts:
        yield from _check_mounts(role, path)
    if role.metadata:
        yield from _check_metadata(role.metadata, f"{path}.metadata")
    yield from _check_resource(role.resource, f"{path}.resource")
    if role.workspace is not None and not isinstance(role.workspace, Workspace):
        yield _wrong_type(f"{path}.workspace", role.workspace, "a Workspace")
    if not isinstance(role.primary, bool):
        yield _wrong_type(f"{path}.primary", role.primary, "a bool")


def _check_counts(role: Role, path: str) -> Found:
    replicas, least = role.num_replicas, role.min_replicas
    if not _is_int(replicas):
        yield _wrong_type(f"{path}.num_replicas", replicas, "a whole number")
    elif replicas <= 0:
        yield Problem("XR007", f"{path}.num_replicas", f"{replicas} replicas", "ask for at least 1")
    if least is not None:
        if not _is_int(least):
            yield _wrong_type(f"{path}.min_replicas", least, "a whole number or None")
        elif least <= 0:
            yield Problem("XR008", f"{path}.min_replicas", f"min_replicas is {least}", "ask for at least 1, or None")
        elif _is_int(replicas) and least > replicas > 0:
            message = f"min_replicas {least} is more than num_replicas {replicas}"
            yield Problem("XR009", f"{path}.min_replicas", message, f"lower it to {replicas} or less")
    if not _is_int(role.max_retries):
        yield _wrong_type(f"{path}.max_retries", role.max_retries, "a whole number")
    elif role.max_retries < 0:
        yield Problem("XR010", f"{path}.max_retries", f"max_retries is {role.max_retries}", "0 means no retry")
    if not isinstance(role.retry_policy, RetryPolicy):
        yield _wrong_type(f"{path}.retry_policy", role.retry_policy, "a RetryPolicy")


def _check_args(role: Role, path: str) -> Found:
    if not isinstance(role.args, list):
        yield _wrong_type(f"{path}.args", role.args, "a list of strings")
        return
    for i, arg in enumerate(role.args):
        if isinstance(arg, str):
            yield from _check_text(f"{path}.args[{i}]", arg)
        else:
            yield _wrong_type(f"{path}.args[{i}]", arg, "a string")


def _check_env(role: Role, path: str) -> Found:
    if not isinstance(role.env, dict):
        yield _wrong_type(f"{path}.env", role.env, "a dict of strings")
        return
    for name, value in role.env.items():
        yield from _check_env_name(name, f"{path}.env")
        if isinstance(value, str):
            yield from _check_text(f"{path}.env.{name}", value, name_length=len(str(name)) + 1)
        else:
            yield _wrong_type(f"{path}.env.{name}", value, "a string")


def _check_env_name(name: object, path: str) -> Found:
    if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
        fix = "letters, digits and '_', not a digit first"
        yield Problem("XR011", path, f"{name!r} can't be the name of an environment variable", fix)
    elif name.startswith("XRUN_"):
        fix = "XRUN_* is set by xrun; choose another name"
        yield Problem("XR012", f"{path}.{name}", f"the name {name} is reserved", fix)


def _check_secrets(role: Role, path: str) -> Found:
    if not isinstance(role.secrets, dict):
        yield _wrong_type(f"{path}.secrets", role.secrets, "a dict of references")
        return
    for name, reference in role.secrets.items():
        yield from _check_env_name(name, f"{path}.secrets")
        if not isinstance(reference, str) or not _SECRET.fullmatch(reference):
            # the value is not shown: it may be the secret itself, put here by mistake
            fix = "env:NAME, file:PATH or k8s:secret/key; never the secret itself"
            yield Problem("XR013", f"{path}.secrets.{name}", "not a reference to a secret", fix)
        if isinstance(role.env, dict) and name in role.env:
            message = f"{name} is set by env and by secrets"
            yield Problem("XR014", f"{path}.secrets.{name}", message, "keep one of them")


def _check_ports(role: Role, path: str) -> Found:
    if not isinstance(role.port_map, dict):
        yield _wrong_type(f"{path}.port_map", role.port_map, "a dict of port numbers")
        return
    seen: dict[int, str] = {}
    for name, port in role.port_map.items():
        if not _is_int(port) or not 0 < port < 65536:
            yield Problem("XR015", f"{path}.port_map.{name}", f"{port!r} is not a port", "1 to 65535")
        elif port in seen:
            message = f"port {port} is also {seen[port]!r}"
            yield Problem("XR016", f"{path}.port_map.{name}", message, "give each port one name")
        else:
            seen[port] = name


def _check_mounts(role: Role, path: str) -> Found:
    if not isinstance(role.mounts, list):
        yield _wrong_type(f"{path}.mounts", role.mounts, "a list of mounts")
        return
    seen: dict[str, int] = {}
    for i, mount in enumerate(role.mounts):
        at = f"{path}.mounts[{i}]"
        if not isinstance(mount, (BindMount, VolumeMount, DeviceMount)):
            fix = "use BindMount, VolumeMount or DeviceMount"
            yield Problem("XR017", at, f"{type(mount).__name__} is no mount", fix)
            continue
        source = mount.src if isinstance(mount, VolumeMount) else mount.src_path
        if not source or not mount.dst_path:
            yield Problem("XR018", at, "a mount needs a source and a destination", "set both")
        for text in (source, mount.dst_path):
            yield from _check_text(at, str(text), replica_macros=False)
        if mount.dst_path in seen:
            message = f"{mount.dst_path!r} is also the destination of mounts[{seen[mount.dst_path]}]"
            yield Problem("XR019", f"{at}.dst_path", message, "mount one thing at one place")
        seen.setdefault(mount.dst_path, i)
        if isinstance(mount, DeviceMount) and not (mount.permissions and set(mount.permissions) <= set("rwm")):
            message = f"{mount.permissions!r} are no device permissions"
            yield Problem("XR020", f"{at}.permissions", message, "letters of 'rwm'")


def _check_resource(resource: Resource, path: str) -> Found:
    if not isinstance(resource, Resource):
        yield _wrong_type(path, resource, "a Resource")
        return
    for name in ("cpu", "gpu", "memMB"):
        value = getattr(resource, name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
            yield _wrong_type(f"{path}.{name}", value, "a number")
        elif name != "cpu" and value != int(value):
            yield Problem("XR021", f"{path}.{name}", f"{name} is {value}", "ask for a whole number")
    for name, count in resource.devices.items():
        if not _is_int(count) or count < 0:
            yield Problem("XR021", f"{path}.devices.{name}", f"{count!r} devices", "ask for a whole number")


def _check_metadata(value: Any, path: str) -> Found:
    if isinstance(value, str):
        yield from _check_text(path, value, replica_macros=False)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _check_metadata(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            yield from _check_metadata(inner, f"{path}[{i}]")


def _check_text(path: str, text: str, *, replica_macros: bool = True, name_length: int = 0) -> Found:
    """NUL bytes, lone surrogates, length and macros of one text."""
    if "\0" in text:
        yield Problem("XR022", path, "the text holds a NUL byte", "no system passes it; encode it, as in base64")
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            size = 0
            yield Problem("XR023", path, "the text can't be written as UTF-8", "remove the lone surrogates")
    else:
        size = len(text)
    if size + name_length > MAX_ARGUMENT:
        message = f"{size} bytes, more than the {MAX_ARGUMENT} that Linux takes in one argument"
        yield Problem("XR024", path, message, "pass it in a file")
    if "${" in text:
        yield from _check_macros(path, text, replica_macros)


def _check_macros(path: str, text: str, replica_macros: bool) -> Found:
    if _NESTED.search(text):
        fix = "in a shell text write \"${XRUN_RANK0_HOST:?}\"; ${rank0_env} is that variable's name"
        yield Problem("XR025", path, "TorchX's nested spelling $${${rank0_env}...} is not read here", fix)
        return
    for dollars, name in _BRACES.findall(text):
        if dollars:
            continue
        if name in _MACROS:
            if name in macros.REPLICA_LEVEL and not replica_macros:
                message = f"${{{name}}} is only known inside each replica"
                yield Problem("XR026", path, message, "use it in args and env only")
        elif name.lower() == name and (near := _near_macro(name)):
            fix = f"write ${{{near}}}; if it is meant for a shell, this is only a warning"
            yield Problem("XR027", path, f"${{{name}}} is no macro and stays as it is", fix, Severity.WARNING)


def _near_macro(name: str) -> str:
    end = suggestion(name, _MACROS)
    return end.removeprefix("; did you mean ").rstrip("?").split(" or ")[0] if "did you mean" in end else ""


def _wrong_type(path: str, value: object, wanted: str) -> Problem:
    return Problem("XR028", path, f"{value!r:.60} is a {type(value).__name__}, not {wanted}", f"give {wanted}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _env_suffix(role_name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", role_name).upper()
