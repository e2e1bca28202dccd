"""Why an app waits, where its pods don't tell: events of its Jobs, and Kueue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from xrun.errors import XrunError
from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.client import EVENT, QUEUE, WORKLOAD, Cluster, Refused
from xrun.schedulers.kubernetes.endings import waiting
from xrun.schedulers.kubernetes.objects import Found, Pod, condition, seconds

_USUAL_START = 5.0  # seconds that something has to begin before it is asked why it doesn't
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
        slow = unstarted(found)
        return _troubled(cluster, namespace, found, slow[0]) if slow else ""
    return _refused(cluster, namespace, found)


def unstarted(found: Found) -> list[Pod]:
    """Pods that have nothing wrong with them, and don't begin; events may say more."""
    late = _late()
    return [p for p in found.pods if p.phase == "Pending" and p.created < late and not p.stopped and not waiting(p)]


def _late() -> float:
    return time.time() - _USUAL_START


def no_queue(cluster: Cluster, namespace: str, queue: str) -> str:
    """Why nothing can wait in a queue; empty if it is there, or not ours to look at."""
    try:
        cluster.get("look at the queue", cluster.path(QUEUE, namespace, queue))
    except XrunError as error:
        if isinstance(error, Refused) and error.status == 404:
            there = error.reason == "NotFound"  # the API's word for an object; it has none for a kind that isn't there
            return f"there is no LocalQueue {queue} in the namespace" if there else "the cluster has no Kueue (v1beta1)"
    return ""


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
        said = said or no_queue(cluster, namespace, queue)
    except XrunError:
        said = no_queue(cluster, namespace, queue)  # Kueue may not be ours to look at, or not be there
    return f"waits in queue {queue}{f': {said}' if said else ''}"


def _refused(cluster: Cluster, namespace: str, found: Found) -> str:
    """What kept a Job's pods, or a JobSet's Jobs and Service, from being made, as a quota."""
    for thing in (*found.jobs, *([found.head] if found.is_jobset else [])):
        kind = "type=Warning" if thing is found.head and found.is_jobset else "reason=FailedCreate"
        try:
            chosen = f"involvedObject.uid={thing['metadata']['uid']},{kind}"
            events = cluster.list(EVENT, namespace, fieldSelector=chosen).items
        except XrunError:
            return ""
        if events:
            return _message(max(events, key=lambda event: event.get("lastTimestamp") or ""))
    if found.is_jobset and not found.jobs and seconds(found.head["metadata"]["creationTimestamp"]) < _late():
        return "JobSet's controller makes no Jobs of it: it is away, or a quota or policy is in the way; its log tells"
    return ""


def _troubled(cluster: Cluster, namespace: str, found: Found, pod: Pod) -> str:
    """What keeps a pod from being started, as a volume that isn't there."""
    if not pod.node:
        name = found.jobs[0]["spec"]["template"]["spec"].get("schedulerName", "default-scheduler")
        return f"{pod.role}/{pod.replica}: no scheduler has looked at it; is there one named {name}, and is it up?"
    try:
        chosen = f"involvedObject.uid={pod.uid},type=Warning"
        events = cluster.list(EVENT, namespace, fieldSelector=chosen).items
    except XrunError:
        return ""
    if not events:
        return ""
    last = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return f"{pod.role}/{pod.replica}: {last.get('reason')}: {_message(last)}"


def _message(event: Mapping[str, Any]) -> str:
    return " ".join(str(event.get("message", "")).split())[:500]
