"""What ``xrun doctor`` looks at: the cluster, its version, what we may do there, JobSet, Kueue's queues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from xrun.errors import XrunError
from xrun.schedulers.api import Probe
from xrun.schedulers.kubernetes import rights
from xrun.schedulers.kubernetes.client import JOB, Cluster, Refused
from xrun.schedulers.kubernetes.rights import JOBSET_GROUP, KUEUE_GROUP, Right

OLDEST = (1, 29)
"""The first minor version in which Jobs retry each index for itself by default."""

_JOBSET = "v1alpha2"
_AT_ONCE = 8
_NOT_THERE = 404
_NAMED = 6  # rights that are named when many are lacking


def look(cluster: Cluster, options: Mapping[str, Any]) -> list[Probe]:
    """All there is to say.

    Args:
        cluster: which.
        options: what the configuration says; ``queue`` is read.
    """
    try:
        version = cluster.get("ask its version", "/version")
        where = f"{cluster.host}, namespace {cluster.namespace}"
    except XrunError as error:
        return [Probe("cluster", False, str(error))]
    found = [Probe("cluster", True, where), _version(version)]
    try:
        groups = _groups(cluster)
        found += [_jobs(cluster), _jobset(groups), _rights(cluster, groups)]
        return found + _queues(cluster, groups, str(options.get("queue") or ""))
    except XrunError as error:
        return [*found, Probe("answers", False, str(error))]


def _version(said: Mapping[str, Any]) -> Probe:
    text = str(said.get("gitVersion"))
    numbers = re.match(r"v?(\d+)\.(\d+)", text)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Probe("version", False, f"{text}; xrun's Jobs need {oldest} or newer: have the cluster upgraded")
    return Probe("version", True, text)


def _groups(cluster: Cluster) -> dict[str, list[str]]:
    """The API's groups, each with its versions, the preferred one first."""
    found = {}
    for group in cluster.get("ask what it has", "/apis").get("groups") or []:
        preferred = str((group.get("preferredVersion") or {}).get("version"))
        others = [str(v["version"]) for v in group.get("versions") or [] if v["version"] != preferred]
        found[str(group["name"])] = [preferred, *others]
    return found


def _jobs(cluster: Cluster) -> Probe:
    """Has the API server look at a Job of one pod, which is not made."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "xrun-doctor"}]}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "xrun-doctor"},
        "spec": {"template": {"spec": pod}},
    }
    try:
        cluster.create("create a Job", cluster.path(JOB), body, dryRun="All")
    except Refused as error:
        return Probe("jobs", False, str(error))
    return Probe("jobs", True, "a Job would be taken; whether its pods get a node shows only a job")


def _jobset(groups: Mapping[str, list[str]]) -> Probe:
    versions = groups.get(JOBSET_GROUP)
    if versions is None:
        return Probe("jobset", True, "not installed: jobs of several roles, or that restart as a whole, are refused")
    if _JOBSET not in versions:
        return Probe("jobset", False, f"it has {', '.join(versions)}, and xrun needs {_JOBSET}: have JobSet upgraded")
    return Probe("jobset", True, f"installed ({', '.join(versions)})")


def _rights(cluster: Cluster, groups: Mapping[str, list[str]]) -> Probe:
    wanted = list(rights.needed(without=frozenset({JOBSET_GROUP, KUEUE_GROUP} - groups.keys())))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        allowed = list(pool.map(lambda right: _may(cluster, right), wanted))
    lacking = [str(right) for right, may in zip(wanted, allowed, strict=True) if not may]
    if not lacking:
        return Probe("rights", True, f"all {len(wanted)} that are needed")
    some = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
    hint = f"kubectl apply -n {cluster.namespace} -f {rights.manifest()} makes a Role with all; bind it to you"
    return Probe("rights", False, f"you may not {some}; {hint}")


def _may(cluster: Cluster, right: Right) -> bool:
    resource, _, sub = right.resource.partition("/")
    asked = {"namespace": cluster.namespace, "verb": right.verb, "group": right.group, "resource": resource}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {**asked, "subresource": sub}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = cluster.create("ask what you may do", path, body)
    return bool((answer.get("status") or {}).get("allowed"))


def _queues(cluster: Cluster, groups: Mapping[str, list[str]], queue: str) -> list[Probe]:
    """The configured queue, or those there are."""
    if KUEUE_GROUP not in groups:
        missing = f"queue {queue} is configured, and the cluster has no Kueue: have it installed, or leave out queue"
        return [Probe("queue", False, missing)] if queue else []
    path = f"/apis/{KUEUE_GROUP}/{groups[KUEUE_GROUP][0]}/namespaces/{cluster.namespace}/localqueues"
    try:
        if not queue:
            names = [item["metadata"]["name"] for item in cluster.get("list queues", path).get("items") or []]
            return [Probe("queue", True, f"Kueue has {', '.join(sorted(names)) or 'no queue in this namespace'}")]
        found = cluster.get("look at the queue", f"{path}/{queue}")
    except Refused as error:
        if error.status == _NOT_THERE:
            return [Probe("queue", False, f"there is no LocalQueue {queue} in namespace {cluster.namespace}")]
        return [Probe("queue", False, str(error))]
    conditions = (found.get("status") or {}).get("conditions") or []
    stopped = [c for c in conditions if c.get("type") == "Active" and c.get("status") == "False"]
    if stopped:
        return [Probe("queue", False, f"{queue} takes nothing now: {stopped[0].get('message') or 'not active'}")]
    return [Probe("queue", True, queue)]
