"""What an app's containers say, in the contract's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xrun.errors import InvalidValue
from xrun.schedulers.api import AppDescription
from xrun.schedulers.docker import labels, reconcile
from xrun.schedulers.docker.containers import State
from xrun.schedulers.docker.labels import Found, Seen
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.serialize import from_dict
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

STATES = {
    "created": AppState.PENDING,
    "running": AppState.RUNNING,
    "paused": AppState.RUNNING,
    "restarting": AppState.RUNNING,
    "removing": AppState.RUNNING,
    "dead": AppState.FAILED,
}
"""The engine's word for a container -> AppState; one that has exited is judged by its exit code."""

Look = Callable[[Seen], tuple[State, str, str] | None]
"""Container -> how it stands, its last error in one line and the whole of its error file; None if it is gone."""


def app_of(found: Found) -> AppDef | None:
    """The job as it was submitted; None if what holds it is gone or damaged."""
    head = found.head
    if head is None:
        return None
    try:
        return from_dict(json.loads(head.labels[labels.SPEC]))
    except (InvalidValue, ValueError, KeyError, RecursionError):
        return None


def options_of(found: Found) -> dict[str, Any]:
    """The options that it was submitted with."""
    head = found.head
    try:
        options = json.loads(head.labels[labels.OPTIONS]) if head is not None else {}
    except (ValueError, KeyError, RecursionError):
        return {}
    return options if isinstance(options, dict) else {}


def seconds(options: Mapping[str, Any], name: str, default: float) -> float:
    """One of the options that are times."""
    value = options.get(name)
    return float(value) if isinstance(value, int | float) else default


def is_supervised(roles: Sequence[Role], options: Mapping[str, Any]) -> bool:
    """Whether more must be done for an app than the engine does by itself."""
    replicas = sum(role.num_replicas for role in roles)
    return replicas > 1 or any(role.max_retries for role in roles) or seconds(options, "max_runtime", 0) > 0


def app_state(found: Found, supervised: bool) -> AppState:
    """Where an app is."""
    runs = any(c.runs for c in found.containers)
    if found.verdict is not None:
        return AppState.RUNNING if runs else AppState[found.verdict.state]
    if not supervised and len(found.containers) == 1 and found.head is not None:
        return _own_state(found.containers[0])
    if not found.containers:
        return AppState.UNKNOWN
    return AppState.PENDING if all(c.state == "created" for c in found.containers) else AppState.RUNNING


def describe(found: Found, look: Look | None, host: str = "localhost") -> AppDescription:
    """An app.

    Args:
        found: its containers.
        look: how to look closer, at one container a call; None for what the list alone says.
        host: the engine's, where published ports are.
    """
    app, options = app_of(found), options_of(found)
    roles = app.roles if app else []
    state = app_state(found, is_supervised(roles, options))
    latest = found.latest()
    statuses = [
        RoleStatus(
            role.name,
            [_replica(found, latest.get((r, k)), role, k, state, look, host) for k in range(role.num_replicas)],
        )
        for r, role in enumerate(roles)
    ]
    head, submitted = found.any_labels, found.submitted
    failed = _failed(found, statuses)
    status = AppStatus(
        state=state,
        num_restarts=reconcile.num_restarts(found, roles),
        msg=_reason(found, state, failed),
        structured_error_msg=failed.structured_error_msg if failed else NONE,
        roles=statuses,
        native_id=found.head.id[:12] if found.head else "",
        submitted=submitted,
        ended=_ended(found, statuses) if is_terminal(state) else 0.0,
    )
    return AppDescription(
        found.app_id,
        status,
        app,
        request_id=head.get(labels.REQUEST_ID, ""),
        spec_hash=head.get(labels.SPEC_HASH, ""),
        user=head.get(labels.USER, ""),
        submitted=submitted,
        handle=head.get(labels.HANDLE, ""),
        options=options,
    )


def _own_state(c: Seen) -> AppState:
    if c.state == "exited":
        return AppState.SUCCEEDED if c.exit_code == 0 else AppState.FAILED
    return STATES.get(c.state, AppState.UNKNOWN)


def _replica(
    found: Found, c: Seen | None, role: Role, k: int, app: AppState, look: Look | None, host: str
) -> ReplicaStatus:
    if c is None:
        return ReplicaStatus(k, AppState.UNKNOWN, role.name)
    own = _own_state(c)
    status = ReplicaStatus(k, own, role.name, native_id=c.id[:12], attempt=c.restarts.attempt, exit_code=c.exit_code)
    status.hostname = labels.host_name(found.app_id, role.name, k)
    if c.runs:
        status.endpoints = {n: f"{host}:{c.ports[p]}" for n, p in role.port_map.items() if p in c.ports}
    seen = look(c) if look is not None else None
    if seen is not None:
        state, error, detail = seen
        status.exit_code, status.signal, status.error = state.exit_code, state.signal, error
        status.structured_error_msg = detail or NONE
        status.started, status.ended = state.started, state.ended
        if state.note and state.over and not state.ok:
            status.state = AppState.FAILED
    if is_terminal(app) and _was_stopped(found, c, status):
        status.state = AppState.CANCELLED
    return status


def _was_stopped(found: Found, c: Seen, status: ReplicaStatus) -> bool:
    """Whether a replica ended because the app did: it had not ended by itself when that was decided."""
    if found.verdict is None or c.key == found.verdict.failed:
        return False
    if c.state == "created" and status.state is not AppState.FAILED:
        return True
    return status.ended > found.verdict.time


def _failed(found: Found, statuses: Sequence[RoleStatus]) -> ReplicaStatus | None:
    """The replica that failed the app."""
    if found.verdict is not None:
        r, k = found.verdict.failed or (len(statuses), 0)
        return statuses[r].replicas[k] if r < len(statuses) and k < len(statuses[r].replicas) else None
    every = [k for role in statuses for k in role.replicas]
    return every[0] if len(every) == 1 and every[0].state is AppState.FAILED else None


def _reason(found: Found, state: AppState, failed: ReplicaStatus | None) -> str:
    if found.verdict is not None:
        reason = found.verdict.reason
        # an engine that is stopped shows why only when it is back, after the end was decided
        later = failed is not None and failed.error and reason.endswith(f"failed: {failed.outcome}")
        return f"{reason}: {failed.error}" if failed is not None and later else reason
    if state is AppState.FAILED and failed is not None:
        error = f": {failed.error}" if failed.error else ""
        return f"{failed.role}/{failed.id} failed: {failed.outcome}{error}"
    return ""


def _ended(found: Found, statuses: Sequence[RoleStatus]) -> float:
    times = [k.ended for role in statuses for k in role.replicas]
    return max([*times, found.verdict.time if found.verdict else 0.0], default=0.0)
