"""Everything that is wrong with a job, found in one pass, before any scheduler sees it."""

from __future__ import annotations

import posixpath
import re
from itertools import islice
from typing import Any

from xrun.errors import shown, suggestion
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, Mount, VolumeMount
from xrun.specs.problems import Problem, Severity
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.workspace import Workspace

MAX_ARGUMENT = 128 * 1024 - 1
"""Bytes in one argument or one ``NAME=value``: Linux's MAX_ARG_STRLEN, 32 pages, less the ending NUL (execve(2))."""

MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Levels and values of one metadata; what has more is a mistake, most often data that holds itself."""

_HUGE = 2**63
_ROLE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\0\ud800-\udfff]+|k8s:[a-z0-9.-]+/[A-Za-z0-9._-]+")
_BRACES = re.compile(r"(\$*)\$\{([A-Za-z_0-9]+)\}")
_NESTED = re.compile(r"\$\$\{\s*\$\{rank0_env\}")
_MACROS = (*macros.APP_LEVEL, *macros.REPLICA_LEVEL)
_MOUNTS = (BindMount, VolumeMount, DeviceMount)
_PLAIN = "plain data (text, finite numbers, bools, None, lists, dicts)"


def validate(app: AppDef) -> list[Problem]:
    """Checks a job that may have been built step by step, by hand or by a program, with any value in any field.

    A job without errors can be copied, hashed, and written as JSON or YAML and read back.

    Args:
        app: the job; it is not changed.

    Returns:
        Every problem at once, errors and warnings, in the order of the fields; empty if there is none.
    """
    if not isinstance(app, AppDef):
        return [_wrong_type("app", app, "an AppDef")]
    found: list[Problem] = []
    if not isinstance(app.name, str) or not app.name.strip():
        message = f"the app's name is {shown(app.name)}"
        found.append(Problem("XR001", "name", message, "give it a short lower-case name"))
    else:
        _check_text(found, "name", app.name)
    if isinstance(app.roles, list):
        _check_roles(found, app.roles)
    else:
        found.append(_wrong_type("roles", app.roles, "a list of Role"))
    if not isinstance(app.metadata, dict):
        found.append(_wrong_type("metadata", app.metadata, "a dict of strings"))
    elif app.metadata:
        _check_strings(found, "metadata", app.metadata)
    return found


def _check_roles(found: list[Problem], given: list[Role]) -> None:
    if not given:
        found.append(Problem("XR002", "roles", "the app has no roles", "add at least one Role"))
        return
    roles = [r for r in given if isinstance(r, Role)]
    if roles and all(r.primary is False for r in roles):
        fix = "leave primary=True on one"
        found.append(Problem("XR003", "roles", "no role is primary, so nothing decides the end", fix))
    if len(roles) > 1:
        _check_unique(found, [r.name for r in roles if isinstance(r.name, str)])
    for i, role in enumerate(given):
        if isinstance(role, Role):
            _check_role(found, f"roles[{i}]", role)
        else:
            found.append(_wrong_type(f"roles[{i}]", role, "a Role"))


def _check_unique(found: list[Problem], names: list[str]) -> None:
    """Each name is a part of a variable's, XRUN_RANK0_HOST_<ROLE>, and two must not be the same there."""
    by_suffix: dict[str, list[str]] = {}
    for name in names:
        by_suffix.setdefault(re.sub(r"[^A-Za-z0-9]", "_", name).upper(), []).append(name)
    for same in by_suffix.values():
        if len(same) > 1:
            message = f"role names are not unique: {', '.join(map(shown, same))}"
            fix = "make them differ in more than '-', '_', '.' and upper or lower case"
            found.append(Problem("XR004", "roles", message, fix))


def _check_role(found: list[Problem], path: str, role: Role) -> None:
    """Every field, in the order of their definition."""
    if not isinstance(role.name, str) or not _ROLE_NAME.fullmatch(role.name):
        fix = "1 to 63 letters, digits, '.', '_' and '-', a letter or digit first and last"
        found.append(Problem("XR005", f"{path}.name", f"{shown(role.name)} can't be a role's name", fix))
    _check_program(found, path, role)
    if _is_dict(found, f"{path}.env", role.env, "a dict of strings"):
        _check_env(found, f"{path}.env", role.env)
    _check_counts(found, path, role)
    _check_resource(found, f"{path}.resource", role.resource)
    if _is_dict(found, f"{path}.port_map", role.port_map, "a dict of port numbers"):
        _check_ports(found, f"{path}.port_map", role.port_map)
    if not isinstance(role.mounts, list):
        found.append(_wrong_type(f"{path}.mounts", role.mounts, "a list of mounts"))
    elif role.mounts:
        _check_mounts(found, f"{path}.mounts", role.mounts)
    if _is_dict(found, f"{path}.metadata", role.metadata, "a dict"):
        _check_plain(found, f"{path}.metadata", role.metadata)
    if role.workspace is not None:
        _check_workspace(found, f"{path}.workspace", role.workspace)
    if _is_dict(found, f"{path}.secrets", role.secrets, "a dict of references"):
        _check_secrets(found, f"{path}.secrets", role)
    if not isinstance(role.primary, bool):
        found.append(_wrong_type(f"{path}.primary", role.primary, "a bool"))


def _check_program(found: list[Problem], path: str, role: Role) -> None:
    if isinstance(role.image, str):
        _check_text(found, f"{path}.image", role.image, replica_macros=False)
    else:
        found.append(_wrong_type(f"{path}.image", role.image, "a string"))
    if not isinstance(role.entrypoint, str):
        found.append(_wrong_type(f"{path}.entrypoint", role.entrypoint, "a string"))
    elif not role.entrypoint or role.entrypoint == "<MISSING>":
        found.append(Problem("XR006", f"{path}.entrypoint", "there is no entrypoint", "name the program to run"))
    else:
        _check_text(found, f"{path}.entrypoint", role.entrypoint, replica_macros=False)
    if not isinstance(role.args, list):
        found.append(_wrong_type(f"{path}.args", role.args, "a list of strings"))
    else:
        for i, arg in enumerate(role.args):
            if isinstance(arg, str):
                _check_text(found, f"{path}.args[{i}]", arg)
            else:
                found.append(_wrong_type(f"{path}.args[{i}]", arg, "a string"))


def check_env(path: str, env: dict[str, str]) -> list[Problem]:
    """Problems of variables that are not a role's, as those in a scheduler's options.

    Args:
        path: where they are, for the messages.
        env: name -> value.
    """
    found: list[Problem] = []
    _check_env(found, path, env)
    return found


def _check_env(found: list[Problem], path: str, env: dict[str, str]) -> None:
    for name, value in env.items():
        _check_env_name(found, path, name)
        if isinstance(value, str):
            _check_text(found, _at(path, name), value, name_length=len(name) + 1 if isinstance(name, str) else 0)
        else:
            found.append(_wrong_type(_at(path, name), value, "a string"))


def _check_env_name(found: list[Problem], path: str, name: object) -> None:
    if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
        message = f"{shown(name)} can't be the name of an environment variable"
        found.append(Problem("XR011", path, message, "letters, digits and '_', not a digit first"))
    elif name.startswith("XRUN_"):
        fix = "XRUN_* is set by xrun; choose another name"
        found.append(Problem("XR012", _at(path, name), f"the name {name:.60} is reserved", fix))


def _check_counts(found: list[Problem], path: str, role: Role) -> None:
    replicas, least, retries = role.num_replicas, role.min_replicas, role.max_retries
    known = _is_int(found, f"{path}.num_replicas", replicas, "a whole number")
    if known and replicas <= 0:
        found.append(Problem("XR007", f"{path}.num_replicas", f"{replicas} replicas", "ask for at least 1"))
    if least is not None and _is_int(found, f"{path}.min_replicas", least, "a whole number or None"):
        if least <= 0:
            fix = "ask for at least 1, or None"
            found.append(Problem("XR008", f"{path}.min_replicas", f"min_replicas is {least}", fix))
        elif known and least > replicas > 0:
            message = f"min_replicas {least} is more than num_replicas {replicas}"
            found.append(Problem("XR009", f"{path}.min_replicas", message, f"lower it to {replicas} or less"))
    if _is_int(found, f"{path}.max_retries", retries, "a whole number") and retries < 0:
        found.append(Problem("XR010", f"{path}.max_retries", f"max_retries is {retries}", "0 means no retry"))
    if not isinstance(role.retry_policy, RetryPolicy):
        found.append(_wrong_type(f"{path}.retry_policy", role.retry_policy, "a RetryPolicy"))


def _check_resource(found: list[Problem], path: str, resource: Resource) -> None:
    if not isinstance(resource, Resource):
        found.append(_wrong_type(path, resource, "a Resource"))
        return
    for name, value in (("cpu", resource.cpu), ("gpu", resource.gpu), ("memMB", resource.memMB)):
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            found.append(_wrong_type(f"{path}.{name}", value, "a number"))
        elif not -_HUGE < value < _HUGE:  # not-a-number is neither
            fix = "ask for less than 2**63, or -1 for none"
            found.append(Problem("XR021", f"{path}.{name}", f"{name} is {shown(value)}", fix))
        elif name != "cpu" and not isinstance(value, int):
            found.append(Problem("XR021", f"{path}.{name}", f"{name} is {value!r}", "ask for a whole number, an int"))
    for name, plain in (("capabilities", resource.capabilities), ("tags", resource.tags)):
        if _is_dict(found, f"{path}.{name}", plain, "a dict"):
            _check_plain(found, f"{path}.{name}", plain)
    if _is_dict(found, f"{path}.devices", resource.devices, "a dict of counts"):
        for device, count in resource.devices.items():
            _check_key(found, f"{path}.devices", device)
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < _HUGE:
                fix = "ask for a whole number, 0 or more"
                found.append(Problem("XR021", _at(f"{path}.devices", device), f"{shown(count)} devices", fix))


def _check_ports(found: list[Problem], path: str, port_map: dict[str, int]) -> None:
    seen: dict[int, str] = {}
    for name, port in port_map.items():
        _check_key(found, path, name)
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            found.append(Problem("XR015", _at(path, name), f"{shown(port)} is not a port", "1 to 65535"))
        elif port in seen:
            message = f"port {port} is also {shown(seen[port])}"
            found.append(Problem("XR016", _at(path, name), message, "give each port one name"))
        else:
            seen[port] = name


def _check_mounts(found: list[Problem], path: str, mounts: list[Mount]) -> None:
    seen: dict[str, int] = {}
    for i, mount in enumerate(mounts):
        at = f"{path}[{i}]"
        # not isinstance: nothing could read a subclass back
        if type(mount) not in _MOUNTS:
            fix = "use BindMount, VolumeMount or DeviceMount"
            found.append(Problem("XR017", at, f"{type(mount).__name__} is no mount", fix))
            continue
        if not _check_mount(found, at, mount):
            continue
        place = posixpath.normpath(mount.dst_path)
        if place in seen:
            message = f"{shown(mount.dst_path)} is also the destination of mounts[{seen[place]}]"
            found.append(Problem("XR019", f"{at}.dst_path", message, "mount one thing at one place"))
        seen.setdefault(place, i)


def _check_mount(found: list[Problem], path: str, mount: Mount) -> bool:
    """True if it has a destination."""
    for name, value in vars(mount).items():
        if name == "read_only":
            if not isinstance(value, bool):
                found.append(_wrong_type(f"{path}.{name}", value, "a bool"))
        elif not isinstance(value, str):
            found.append(_wrong_type(f"{path}.{name}", value, "a string"))
        elif name == "permissions":
            if not value or not set(value) <= set("rwm"):
                found.append(
                    Problem("XR020", f"{path}.{name}", f"{shown(value)} are no device permissions", "letters of 'rwm'")
                )
        elif not value:
            message = "a mount needs a source and a destination"
            found.append(Problem("XR018", f"{path}.{name}", message, "set both"))
        else:
            _check_text(found, f"{path}.{name}", value, replica_macros=False)
    return isinstance(mount.dst_path, str) and mount.dst_path != ""


def _check_workspace(found: list[Problem], path: str, workspace: Workspace) -> None:
    if not isinstance(workspace, Workspace):
        found.append(_wrong_type(path, workspace, "a Workspace"))
    elif _is_dict(found, f"{path}.projects", workspace.projects, "a dict of folders"):
        _check_strings(found, f"{path}.projects", workspace.projects)
        for source, place in workspace.projects.items():
            if isinstance(place, str) and posixpath.normpath(place).startswith(("/", "..")):
                message = f"{shown(place)} is outside the job's working directory"
                fix = 'name a folder below it, or "" for itself'
                found.append(Problem("XR029", _at(f"{path}.projects", source), message, fix))


def _check_secrets(found: list[Problem], path: str, role: Role) -> None:
    for name, reference in role.secrets.items():
        _check_env_name(found, path, name)
        if not isinstance(reference, str) or not _SECRET.fullmatch(reference):
            # the value is not shown: it may be the secret itself, put here by mistake
            fix = "env:NAME, file:PATH or k8s:secret/key; never the secret itself"
            found.append(Problem("XR013", _at(path, name), "not a reference to a secret", fix))
        if isinstance(role.env, dict) and name in role.env:
            message = f"{shown(name)} is set by env and by secrets"
            found.append(Problem("XR014", _at(path, name), message, "keep one of them"))


def _check_strings(found: list[Problem], path: str, texts: dict[str, str]) -> None:
    for key, value in texts.items():
        _check_key(found, path, key)
        if isinstance(value, str):
            _check_text(found, _at(path, key), value, replica_macros=False)
        else:
            found.append(_wrong_type(_at(path, key), value, "a string"))


def _check_plain(found: list[Problem], path: str, data: dict[str, Any]) -> None:
    if _is_endless(data):
        message = f"it holds itself, or more than {MAX_DEPTH} levels or {MAX_VALUES} values"
        found.append(Problem("XR030", path, message, "put large data in a file and name the file"))
    else:
        _check_value(found, path, data)


def _check_value(found: list[Problem], path: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(found, path, value, replica_macros=False)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_key(found, path, key)
            _check_value(found, _at(path, key), inner)
    elif isinstance(value, (list, tuple)):
        for i, inner in enumerate(value):
            _check_value(found, f"{path}[{i}]", inner)
    elif value is not None and not (isinstance(value, (int, float)) and -_HUGE < value < _HUGE):
        found.append(_wrong_type(path, value, _PLAIN))


def _check_key(found: list[Problem], path: str, key: object) -> None:
    if not isinstance(key, str):
        found.append(_wrong_type(path, key, "a string, as every key must be"))
    else:
        _check_text(found, _at(path, key), key)


def _check_text(
    found: list[Problem], path: str, text: str, *, replica_macros: bool = True, name_length: int = 0
) -> None:
    """NUL bytes, lone surrogates, length and macros of one text."""
    if "\0" in text:
        fix = "no system passes it; encode it, as in base64"
        found.append(Problem("XR022", path, "the text holds a NUL byte", fix))
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            found.append(Problem("XR023", path, "the text can't be written as UTF-8", "remove the lone surrogates"))
    if size + name_length > MAX_ARGUMENT:
        message = f"{size} bytes, more than the {MAX_ARGUMENT} that Linux takes in one argument"
        found.append(Problem("XR024", path, message, "pass it in a file"))
    if "${" in text:
        _check_macros(found, path, text, replica_macros)


def _check_macros(found: list[Problem], path: str, text: str, replica_macros: bool) -> None:
    if _NESTED.search(text):
        fix = 'in a shell text write "${XRUN_RANK0_HOST:?}"; ${rank0_env} is that variable\'s name'
        found.append(Problem("XR025", path, "TorchX's nested spelling $${${rank0_env}...} is not read here", fix))
    for name in dict.fromkeys(name for dollars, name in _BRACES.findall(text) if not dollars):
        if name in _MACROS:
            if name in macros.REPLICA_LEVEL and not replica_macros:
                message = f"${{{name}}} is only known inside each replica"
                found.append(Problem("XR026", path, message, "use it in args and env only"))
        elif name.islower() and (near := _near_macro(name)):
            fix = f"write ${{{near}}}; if it is meant for a shell, this is only a warning"
            message = f"${{{name}}} is no macro and stays as it is"
            found.append(Problem("XR027", path, message, fix, Severity.WARNING))


def _near_macro(name: str) -> str:
    end = suggestion(name, _MACROS)
    return end.removeprefix("; did you mean ").rstrip("?").split(" or ")[0] if "did you mean" in end else ""


def _wrong_type(path: str, value: object, wanted: str) -> Problem:
    kind = type(value).__name__
    article = "an" if kind[:1] in "aeiouAEIOU" else "a"
    return Problem("XR028", path, f"{shown(value)} is {article} {kind}, not {wanted}", f"give {wanted}")


def _is_dict(found: list[Problem], path: str, value: object, wanted: str) -> bool:
    """True for a dict that holds something; what is no dict is a problem."""
    if not isinstance(value, dict):
        found.append(_wrong_type(path, value, wanted))
        return False
    return bool(value)


def _is_int(found: list[Problem], path: str, value: object, wanted: str) -> bool:
    """True for a whole number that any system can count to; what is none is a problem."""
    if isinstance(value, int) and not isinstance(value, bool):
        if -_HUGE < value < _HUGE:
            return True
        wanted += " below 2**63"
    found.append(_wrong_type(path, value, wanted))
    return False


def _is_endless(data: object) -> bool:
    """Whether nested data is deeper or larger than any job's, as data that holds itself is; counts level by level."""
    level, count = [data], 0
    for _ in range(MAX_DEPTH):
        level = list(islice((inner for value in level for inner in _inner(value)), MAX_VALUES + 1))
        count += len(level)
        if not level or count > MAX_VALUES:
            return count > MAX_VALUES
    return True


def _inner(value: object) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()


def _at(path: str, key: object) -> str:
    """The path of one key; a key that would make it hard to read is quoted."""
    return f"{path}.{key}" if isinstance(key, str) and key.isprintable() and len(key) <= 80 else f"{path}[{shown(key)}]"
