"""What -s kubernetes needs to be allowed in a namespace; ``rbac.yaml`` beside it grants just that."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple


class Right(NamedTuple):
    """One verb on one resource.

    Attributes:
        verb: as the API has it.
        group: of the API; empty for its core.
        resource: its plural, with what of it after a ``/``.
    """

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


JOBSET_GROUP, KUEUE_GROUP = "jobset.x-k8s.io", "kueue.x-k8s.io"

_JOB_VERBS = "create get list watch patch delete"
_NEEDED = (
    ("batch", "jobs", _JOB_VERBS),
    (JOBSET_GROUP, "jobsets", _JOB_VERBS),
    ("", "pods", "get list watch"),
    ("", "pods/log", "get"),
    ("", "configmaps", "create get list patch"),
    ("", "services", "create get delete"),
    ("", "secrets", "create"),
    ("", "events", "list"),
    (KUEUE_GROUP, "localqueues", "get list"),
    (KUEUE_GROUP, "workloads", "list patch"),
)


def needed(*, without: frozenset[str] = frozenset()) -> Iterator[Right]:
    """All of them, but for groups of the API that a cluster doesn't have."""
    for group, resource, verbs in _NEEDED:
        if group not in without:
            yield from (Right(verb, group, resource) for verb in verbs.split())


def manifest() -> str:
    """The path of the manifest that grants them."""
    return str(resources.files(__package__ or "") / "rbac.yaml")
