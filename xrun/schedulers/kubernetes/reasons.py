"""Why an app waits, where its pods don't tell: events of its Jobs, and Kueue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xrun.errors import XrunError
from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.client import EVENT, Cluster, Refused
from xrun.schedulers.kubernetes.objects import Found, condition

WORKLOAD = "workloads"
_SAID = (("QuotaReserved", "False"), ("Admitted", "False"), ("Evicted", "True"), ("QuotaReserved", "True"))
"""Conditions of a Workload that tell why it waits, the one that holds now first."""


def why_waits(cluster: Cluster, namespace: str, found: Found) -> str:
    """In words; empty if nothing is known, or it doesn't wait."""
    head = found.head
    if labels.CANCELLED in found.notes or condition(head, "Complete", "Completed", "Failed"):
        return ""
    if head["spec"].get("suspend"):
        queue = (head["metadata"].get("labels") or {}).get(labels.QUEUE, "")
        return _queued(cluster, namespace, found, queue) if queue else "suspended"
    wanted = sum(int(job["spec"].get("parallelism") or 0) for job in found.jobs)
    if found.jobs and len(found.pods) >= wanted:
        return ""
    return _refused(cluster, namespace, found)


def withdraw(cluster: Cluster, namespace: str, found: Found) -> None:
    """Has Kueue let a cancelled app be, instead of letting it begin again."""
    if labels.QUEUE not in (found.head["metadata"].get("labels") or {}):
        return
    try:
        for workload in _workloads(cluster, namespace, found):
            path = cluster.path(WORKLOAD, namespace, workload["metadata"]["name"])
            cluster.patch("withdraw from the queue", path, {"spec": {"active": False}})
    except Refused as error:
        if error.status not in (403, 404):
            raise


def _workloads(cluster: Cluster, namespace: str, found: Found) -> list[dict[str, Any]]:
    return cluster.list(WORKLOAD, namespace, f"{labels.KUEUE_JOB}={found.head['metadata']['uid']}").items


def _queued(cluster: Cluster, namespace: str, found: Found, queue: str) -> str:
    said = ""
    try:
        for workload in _workloads(cluster, namespace, found):
            conditions = (workload.get("status") or {}).get("conditions") or []
            there = {(c["type"], c["status"]): " ".join(str(c.get("message") or "").split()) for c in conditions}
            said = next((there[key] for key in _SAID if there.get(key)), said)
    except XrunError:
        said = ""  # Kueue may not be ours to look at
    return f"waits in queue {queue}{f': {said}' if said else ''}"


def _refused(cluster: Cluster, namespace: str, found: Found) -> str:
    """What kept a Job's pods from being made, as a quota."""
    for job in found.jobs or [found.head]:
        try:
            chosen = f"involvedObject.name={job['metadata']['name']},reason=FailedCreate"
            events = cluster.list(EVENT, namespace, fieldSelector=chosen).items
        except XrunError:
            return ""
        if events:
            return _message(max(events, key=lambda event: event.get("lastTimestamp") or ""))
    return ""


def _message(event: Mapping[str, Any]) -> str:
    return " ".join(str(event.get("message", "")).split())[:500]
