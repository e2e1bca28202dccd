"""A job's status as text: lines of what is known of the job, then a row a replica."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xrun.cli import output, terminal
from xrun.cli.times import moment, span
from xrun.schedulers.descriptions import AppDescription
from xrun.specs.role import Role
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import ReplicaStatus

COLUMNS = ("REPLICA", "STATE", "ATTEMPT", "EXIT", "HOST", "NATIVE_ID", "DURATION", "LAST_ERROR")

SPARE = ("NATIVE_ID", "HOST", "ATTEMPT", "DURATION")
"""Columns that a narrow terminal does without."""

FEW = 20
"""Replicas that a terminal shows one by one; of more it shows those that matter, and how many are how."""

_RANK = {AppState.FAILED: 0, AppState.CANCELLED: 1, AppState.UNKNOWN: 2, AppState.PENDING: 3, AppState.RUNNING: 5}
_UNREMARKABLE = (AppState.RUNNING, AppState.SUCCEEDED)


class View(NamedTuple):
    """What to show of a job.

    Attributes:
        handle: as it was asked for.
        roles: only these; empty for all.
        all: every replica, however many there are.
    """

    handle: str
    roles: Sequence[str] = ()
    all: bool = False


def plain(there: AppDescription, view: View, now: float) -> list[str]:
    """For programs and files: ``key: value`` lines, then a tab-separated row a replica; every replica is there."""
    lines = [f"{key}: {terminal.clean(value)}" for key, value in _facts(there, view, now)]
    return lines + ["\t".join(map(terminal.clean, _cells(k, now))) for k in _replicas(there, view)]


def drawn(there: AppDescription, view: View, now: float, height: int = 0) -> list[str]:
    """For a person on a terminal, within its width.

    Args:
        there: the job.
        view: what to show of it.
        now: the time, for what still runs.
        height: lines at most (default: as many as it takes).
    """
    columns, _ = terminal.size(1)
    facts = [*_facts(there, view, now), *_summary(there, view)]
    indent = max(len(key) for key, _ in facts) + 2
    head = [_fact(key, value, indent, columns) for key, value in facts]
    replicas = _replicas(there, view)
    chosen = _chosen(replicas, view)
    if height:
        chosen = chosen[: max(0, height - len(head) - 3)]  # an empty line, the table's head, and what is left out
    if not chosen:
        return head + _left_out(len(replicas), view)
    rows = [[terminal.clean(cell) for cell in _cells(k, now)] for k in chosen]
    shown = output.table_lines(COLUMNS, rows, columns, SPARE)
    return [*head, "", *shown, *_left_out(len(replicas) - len(chosen), view)]


def _fact(key: str, value: str, indent: int, columns: int) -> str:
    text = terminal.clean(value)
    if key not in ("handle", "ui", "state"):  # what is copied, and the reason, are worth a second line
        text = terminal.cut(text, max(8, columns - indent))
    if key == "state":
        name, space, reason = text.partition(" ")
        text = output.state(name) + space + reason
    return terminal.painted(key.ljust(indent), terminal.BOLD) + text


def _facts(there: AppDescription, view: View, now: float) -> Iterator[tuple[str, str]]:
    """What is known of the job itself, as far as it is known."""
    status = there.status
    yield "handle", view.handle
    yield "state", status.state.name + (f" ({status.msg})" if status.msg else "")
    if there.app is not None:
        yield "name", there.app.name
    if there.user:
        yield "user", there.user
    submitted = there.submitted or status.submitted
    started = min((k.started for r in status.roles for k in r.replicas if k.started), default=0.0)
    if submitted:
        yield "submitted", moment(submitted)
    if started:
        waited = f", {span(started - submitted)} after its submission" if submitted else ""
        yield "started", moment(started) + ("" if status.num_restarts else waited)
    if status.ended:
        since = submitted if status.num_restarts else started
        yield "ended", moment(status.ended) + (f", after {span(status.ended - since)}" if since else "")
    elif started and not status.is_terminal():
        yield "running", f"for {span(now - started)}"
    elif submitted and not status.is_terminal():
        yield "waiting", f"for {span(now - submitted)}"
    if status.num_restarts:
        yield "restarts", str(status.num_restarts)
    if status.native_id:
        yield "native id", status.native_id
    if status.ui_url:
        yield "ui", status.ui_url
    if not status.is_terminal():
        yield from (("endpoint", text) for text in _endpoints(there, view))


def _endpoints(there: AppDescription, view: View) -> list[str]:
    """Where the ports of running replicas are; of many, only the first replica's of each role."""
    roles: list[Role] = there.app.roles if there.app is not None else []
    ports = {role.name: role.port_map for role in roles if role.port_map}
    running = [k for k in _replicas(there, view) if k.state is AppState.RUNNING and k.hostname and k.role in ports]
    if len(running) > FEW and not view.all:
        running = [k for k in running if k.id == 0]
    return [
        f"{k.role}/{k.id} {name}={k.endpoints.get(name) or f'{k.hostname}:{port}'}"
        for k in running
        for name, port in sorted(ports[k.role].items())
    ]


def _replicas(there: AppDescription, view: View) -> list[ReplicaStatus]:
    return [k for r in there.status.roles if not view.roles or r.role in view.roles for k in r.replicas]


def _summary(there: AppDescription, view: View) -> Iterator[tuple[str, str]]:
    """How many replicas of each role are how, if there are too many to see."""
    if len(_replicas(there, view)) <= FEW:
        return
    for role in there.status.roles:
        if not view.roles or role.role in view.roles:
            counts = Counter(k.state for k in role.replicas)
            parts = [f"{counts[s]} {s.name}" for s in sorted(counts, key=lambda s: _RANK.get(s, 4))]
            yield "role", f"{role.role}: {', '.join(parts)}"


def _chosen(replicas: list[ReplicaStatus], view: View) -> list[ReplicaStatus]:
    """All, or of many those that matter, the failed ones first."""
    if view.all or len(replicas) <= FEW:
        return replicas
    matter = [k for k in replicas if k.state not in _UNREMARKABLE]
    return sorted(matter or replicas, key=lambda k: (_RANK.get(k.state, 4), k.ended or k.started))[:FEW]


def _left_out(count: int, view: View) -> list[str]:
    hint = "" if view.all else "; --all shows every one"
    return [terminal.painted(f"... and {count} more{hint}", terminal.DIM)] if count > 0 else []


def _cells(k: ReplicaStatus, now: float) -> list[str]:
    """A row; the exit column has a number or the name of a signal."""
    until = k.ended if k.ended >= k.started else 0.0
    lasted = (until or (0.0 if is_terminal(k.state) else now)) - k.started if k.started else 0.0
    outcome = k.signal or ("" if k.exit_code is None else str(k.exit_code))
    return [
        f"{k.role}/{k.id}",
        k.state.name,
        str(k.attempt),
        outcome or "-",
        k.hostname or "-",
        k.native_id or "-",
        span(lasted) if lasted > 0 else "-",
        k.error or "-",
    ]
