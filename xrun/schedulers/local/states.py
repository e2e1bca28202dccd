"""What an app's folder says, in the contract's words."""

from __future__ import annotations

import os

from xrun.errors import InvalidValue
from xrun.schedulers.api import AppDescription
from xrun.schedulers.local import client, state
from xrun.specs.app import AppDef
from xrun.specs.serialize import from_dict
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

STATES = {
    s.name: s for s in (AppState.PENDING, AppState.RUNNING, AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED)
}
"""State in the record -> AppState."""


def describe(app_id: str) -> AppDescription | None:
    """An app, from its folder; None if there is none.

    An app without a verdict whose supervisor does not live is FAILED: whoever asks first need not write that down.
    """
    record = state.read(app_id)
    if record is None:
        return None
    elsewhere = ""
    if record.ended:
        _bury(record)
    else:
        elsewhere = where_it_runs(record)
        if not elsewhere and not state.is_supervised(app_id):
            record = state.read(app_id) or record  # the verdict may have come in between
            if not record.ended:
                record.state, record.reason = "FAILED", client.death_reason(record)
                _bury(record)
    return _description(record, elsewhere)


def _description(record: state.AppRecord, elsewhere: str) -> AppDescription:
    head = record.head
    app = _app(record)
    app_state = STATES.get(record.state, AppState.UNKNOWN)
    notes = [record.reason, elsewhere, f"state file damaged: {record.damaged}" if record.damaged else ""]
    roles = (
        [_role(record, r, role.name, role.num_replicas, app_state) for r, role in enumerate(app.roles)] if app else []
    )
    failed = roles[record.failed[0]].replicas[record.failed[1]] if record.failed and roles else None
    status = AppStatus(
        state=app_state,
        num_restarts=record.restarts,
        msg="; ".join(filter(None, notes)),
        structured_error_msg=failed.structured_error_msg if failed else NONE,
        roles=roles,
        submitted=head.get("submitted", 0.0),
        ended=record.ended,
    )
    return AppDescription(
        record.app_id,
        status,
        app,
        request_id=head.get("request_id", ""),
        spec_hash=head.get("spec_hash", ""),
        user=head.get("user", ""),
        submitted=head.get("submitted", 0.0),
        handle=head.get("handle", ""),
        options=head.get("options", {}),
    )


def _role(record: state.AppRecord, r: int, name: str, count: int, app_state: AppState) -> RoleStatus:
    host = record.head.get("host", {}).get("name", "")
    replicas = []
    for k in range(count):
        known = record.replicas.get((r, k), state.ReplicaRecord())
        own = STATES.get(known.state, AppState.UNKNOWN)
        if own is AppState.PENDING and is_terminal(app_state):
            own = AppState.CANCELLED  # it was never started
        replicas.append(
            ReplicaStatus(
                id=k,
                state=own,
                role=name,
                hostname=host,
                structured_error_msg=known.detail or NONE,
                attempt=max(known.attempt, 0),
                exit_code=known.code,
                signal=known.signal,
                error=known.error,
                native_id=str(known.pid) if known.pid else "",
                started=known.started,
                ended=known.ended,
            )
        )
    return RoleStatus(name, replicas)


def _app(record: state.AppRecord) -> AppDef | None:
    if not record.head:
        return None
    try:
        return from_dict(record.head["app"])
    except InvalidValue:
        record.damaged = record.damaged or os.path.join(state.folder_of(record.app_id), state.RECORD)
        return None


def where_it_runs(record: state.AppRecord) -> str:
    """Where an app runs if that can't be looked at from here; empty if it can."""
    its, mine = record.head.get("host", {}), state.host_identity()
    if its and its.get("host") != mine["host"]:
        return f"runs on {its.get('name')}; this host can't tell more"
    if its and its.get("boot") == mine["boot"] and its.get("pidns") != mine["pidns"]:
        return f"runs in another container on {its.get('name')}; this one can't tell more"
    return ""


def _bury(record: state.AppRecord) -> None:
    """Replicas without an exit code, once nobody can say any more how they end."""
    for replica in record.replicas.values():
        if replica.state == "RUNNING":
            replica.state, replica.error = "FAILED", record.reason
