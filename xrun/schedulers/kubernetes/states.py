"""What a cluster has of an app, in the contract's words."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xrun.errors import InvalidValue
from xrun.schedulers.api import AppDescription
from xrun.schedulers.kubernetes import endings, labels
from xrun.schedulers.kubernetes.objects import Found, Pod, condition, seconds
from xrun.schedulers.kubernetes.request import unpacked
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.serialize import from_dict
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

PHASES = {
    "Pending": AppState.PENDING,
    "Running": AppState.RUNNING,
    "Succeeded": AppState.SUCCEEDED,
    "Failed": AppState.FAILED,
    "Unknown": AppState.UNKNOWN,
}
"""Kubernetes' word for a pod -> AppState."""

_REMOVED = "its pod was removed, by somebody or by the cluster"

_STUCK = 120.0  # seconds after its grace period from which on a pod that doesn't go is not waited for
_LATE = 10.0  # the same, from which on it is said
_FAILED, _DONE = ("Failed",), ("Complete", "Completed")


def app_of(found: Found) -> AppDef | None:
    """The job as it was submitted; None if what holds it is damaged."""
    try:
        return from_dict(json.loads(unpacked(found.notes[labels.SPEC])))
    except (InvalidValue, ValueError, KeyError, RecursionError):
        return None


def options_of(found: Found) -> dict[str, Any]:
    """The options that it was submitted with, but for defaults."""
    try:
        options = json.loads(found.notes[labels.OPTIONS])
    except (ValueError, KeyError, RecursionError):
        return {}
    return options if isinstance(options, dict) else {}


def active(found: Found) -> list[Pod]:
    """Pods that run, or may."""
    now = time.time()
    return [pod for pod in found.pods if not pod.over and not (pod.stopped and now - pod.stopped > _STUCK)]


def due(found: Found) -> float:
    """Unix time from which on an app is seen otherwise though nothing has changed; infinite for never."""
    now = time.time()
    moments = (pod.stopped + later for pod in active(found) if pod.stopped for later in (_LATE, _STUCK))
    return min((moment for moment in moments if moment > now), default=float("inf"))


def app_state(found: Found, app: AppDef | None) -> AppState:
    """Where an app is."""
    end = verdict(found, app)
    if end is not None:
        return AppState.RUNNING if active(found) else end
    begun = any(pod.phase == "Running" or pod.over for pod in found.pods)
    return AppState.RUNNING if begun else AppState.PENDING


def verdict(found: Found, app: AppDef | None) -> AppState | None:
    """How an app ends; None while that is open."""
    if labels.CANCELLED in found.notes:
        return AppState.CANCELLED
    if found.condition(*_DONE):
        return AppState.SUCCEEDED
    failed = found.condition(*_FAILED)
    if failed is None:
        return None
    return AppState.SUCCEEDED if _is_tolerated(found, app, failed) else AppState.FAILED


def describe(found: Found, app_id: str, app: AppDef | None, said: str = "") -> AppDescription:
    """An app.

    Args:
        found: what the cluster has of it.
        app_id: its id.
        app: the job.
        said: why it waits, if something else than its pods tells.
    """
    state, notes = app_state(found, app), found.notes
    latest, done = found.latest(), _indexes(found)
    roles = [
        RoleStatus(
            role.name,
            [_replica(role, k, latest.get((role.name, k)), state, done, found) for k in range(role.num_replicas)],
        )
        for role in (app.roles if app else [])
    ]
    failed = _failed(app, roles) if state is AppState.FAILED else None
    submitted = seconds(found.head["metadata"].get("creationTimestamp"))
    status = AppStatus(
        state=state,
        num_restarts=_restarts(found, roles),
        msg=_message(found, state, failed, said),
        structured_error_msg=failed.structured_error_msg if failed else NONE,
        roles=roles,
        native_id=found.name,
        submitted=submitted,
        ended=max(_ended(found), submitted) if is_terminal(state) else 0.0,
    )
    return AppDescription(
        app_id,
        status,
        app,
        request_id=notes.get(labels.REQUEST_ID, ""),
        spec_hash=notes.get(labels.SPEC_HASH, ""),
        user=notes.get(labels.USER, ""),
        submitted=submitted,
        handle=notes.get(labels.HANDLE, ""),
        options=options_of(found),
    )


def _replica(
    role: Role, k: int, pod: Pod | None, app: AppState, done: Mapping[str, Mapping[int, str]], found: Found
) -> ReplicaStatus:
    if pod is None:
        recorded = done.get(role.name, {}).get(k)
        state = PHASES[recorded] if recorded else AppState.CANCELLED if is_terminal(app) else AppState.PENDING
        gone = ReplicaStatus(k, state, role.name, attempt=int((found.head.get("status") or {}).get("restarts") or 0))
        gone.error = _REMOVED if recorded == "Failed" else ""
        return gone
    if not is_terminal(app) and found.head["spec"].get("suspend") and pod not in found.pods:
        return ReplicaStatus(k, AppState.PENDING, role.name, attempt=pod.attempt)  # taken out, to begin again
    status = ReplicaStatus(k, PHASES.get(pod.phase, AppState.UNKNOWN), role.name, pod.node, attempt=pod.attempt)
    status.native_id, status.started, status.ended = pod.name, pod.started, pod.ended
    if pod.ended or pod.over:
        end = endings.of(pod)
        status.exit_code, status.signal, status.error = end.exit_code, end.signal, end.error
        status.structured_error_msg = end.detail or NONE
        status.attempt += end.attempts
        if end.failed:
            status.state = AppState.FAILED
    if is_terminal(app) and (pod.stopped or not pod.over):
        status.state = AppState.CANCELLED
    return status


def _indexes(found: Found) -> dict[str, dict[int, str]]:
    """Role -> replica -> phase, as the Jobs record it of pods that may be gone."""
    recorded: dict[str, dict[int, str]] = {}
    for job in found.jobs:
        marks = (job["spec"]["template"]["metadata"].get("labels")) or {}
        status = job.get("status") or {}
        there = recorded.setdefault(marks.get(labels.ROLE, ""), {})
        for key, phase in (("completedIndexes", "Succeeded"), ("failedIndexes", "Failed")):
            there |= dict.fromkeys(_ranges(status.get(key) or ""), phase)
    return recorded


def _ranges(text: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        yield from range(int(first), int(last or first) + 1)


def _restarts(found: Found, roles: Sequence[RoleStatus]) -> int:
    """Restarts of everything, and of replicas alone."""
    everything = int((found.head.get("status") or {}).get("restarts") or 0)
    restart = {(pod.role, pod.replica): pod.restart for pod in found.latest().values()}
    alone = sum(max(k.attempt - restart.get((k.role, k.id), k.attempt), 0) for role in roles for k in role.replicas)
    return everything + alone


def _is_tolerated(found: Found, app: AppDef | None, failed: Mapping[str, Any]) -> bool:
    """Whether a Job has failed only by losses that its role puts up with."""
    if app is None or found.is_jobset or failed.get("reason") != "FailedIndexes":
        return False
    role = app.roles[0]
    lost = sum(1 for _ in _ranges((found.head.get("status") or {}).get("failedIndexes") or ""))
    return role.min_replicas is not None and 0 < lost <= role.num_replicas - role.min_replicas


def _failed(app: AppDef | None, roles: Sequence[RoleStatus]) -> ReplicaStatus | None:
    """The replica that failed the app: the first of a primary role that ended badly, by itself."""
    primary = {role.name for role in app.roles if role.primary} if app else set()
    every = [k for role in roles if role.role in primary for k in role.replicas if k.state is AppState.FAILED]
    return min(every, key=lambda k: (k.ended or float("inf"), k.id), default=None)


def _message(found: Found, state: AppState, failed: ReplicaStatus | None, said: str) -> str:
    if state is AppState.CANCELLED:
        return "cancelled"
    if state is AppState.SUCCEEDED:
        return ""
    if state is AppState.FAILED:
        return _why_failed(found, failed)
    if verdict(found, None) is not None:
        return _still_there(found)
    waits = [f"{pod.role}/{pod.replica}: {endings.waiting(pod)}" for pod in found.pods if endings.waiting(pod)]
    if waits:
        return waits[0] if len(waits) == 1 else f"{waits[0]} (and {len(waits) - 1} more)"
    return said


def _still_there(found: Found) -> str:
    late = [pod for pod in active(found) if pod.stopped and time.time() - pod.stopped >= _LATE]
    if not late:
        return "stopping"
    who = f"{late[0].role}/{late[0].replica}"
    return f"stopping: {who} does not go; kubectl get nodes shows whether its node, {late[0].node or '-'}, is Ready"


def _why_failed(found: Found, failed: ReplicaStatus | None) -> str:
    reasons = [c for thing in (*found.jobs, found.head) if (c := condition(thing, *_FAILED)) is not None]
    if any(c.get("reason") == "DeadlineExceeded" for c in reasons):
        limit = options_of(found).get("max_runtime", 0)
        return f"stopped after max_runtime, {limit:g} s"
    if failed is not None:
        attempts = f" after {failed.attempt + 1} attempts" if failed.attempt else ""
        how = ": ".join(part for part in (failed.outcome, failed.error) if part) or "no exit code"
        return f"{failed.role}/{failed.id} failed: {how}{attempts}"
    return next((" ".join(str(c.get("message")).split()) for c in reasons if c.get("message")), "")


def _ended(found: Found) -> float:
    pods = max((pod.ended for pod in found.attempts), default=0.0)
    if labels.CANCELLED in found.notes:
        return max(pods, float(found.notes[labels.CANCELLED] or 0))
    end = found.condition(*_DONE, *_FAILED) or {}
    return seconds(end.get("lastTransitionTime")) or pods
