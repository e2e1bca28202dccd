"""Names of objects, pods and hosts: all legal, whatever app and roles are called."""

from __future__ import annotations

import re
import zlib

LONGEST = 63
"""Characters of a DNS label; object names, host names and label values are no longer."""

_SUFFIX = len("-abcde")  # what Kubernetes puts behind the name of a job's pod
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_KEY = re.compile(rf"({_SUBDOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"(?=[a-z0-9-]*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


def replicated_job(app: str, role: str, replicas: int) -> str:
    """The name of a role's part of a JobSet, so short that the longest pod name is legal.

    Args:
        app: the JobSet's name.
        role: the role's name.
        replicas: how many it has.
    """
    # APP-ROLE-0-INDEX-abcde
    room = LONGEST - len(app) - len("--0-") - len(str(max(replicas - 1, 0))) - _SUFFIX
    plain = re.sub(r"[^a-z0-9]", "-", role.lower()).strip("-")
    if len(plain) > room:
        digest = f"{zlib.crc32(role.encode()):08x}"[: max(4, min(8, room - 4))]
        plain = f"{plain[: room - len(digest) - 1].strip('-')}-{digest}".strip("-")
    return plain


def job_host(app: str, index: int, *, alone: bool) -> str:
    """Where a pod of a Job is found: by the headless service, or by its own name if it is the only one."""
    return f"{app}-{index}" if alone else f"{app}-{index}.{app}"


def jobset_host(app: str, replicated: str, index: int) -> str:
    """Where a pod of a JobSet is found."""
    return f"{app}-{replicated}-0-{index}.{app}"


def is_label_value(text: str) -> bool:
    """Whether a text can be a label's value."""
    return _LABEL_VALUE.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Whether a text can be the key of a label or annotation, or the name of a resource."""
    return _KEY.fullmatch(text) is not None and len(text.partition("/")[0]) <= 253


def is_namespace(text: str) -> bool:
    """Whether a text can be a namespace."""
    return _NAMESPACE.fullmatch(text) is not None


def port_name(name: str) -> str:
    """A port's name as Kubernetes takes it; empty if it can't."""
    plain = name.lower().replace("_", "-")
    return plain if _PORT.fullmatch(plain) else ""


def split_app_id(app_id: str) -> tuple[str, str]:
    """Namespace (empty for the session's) and the name of the app's object."""
    namespace, _, name = app_id.rpartition(":")
    return namespace, name
