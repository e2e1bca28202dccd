"""What is known of a job and its replicas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xrun.errors import JobCancelled, JobFailed
from xrun.specs.states import AppState, is_terminal

NONE = "<NONE>"


@dataclass
class ReplicaStatus:
    """One replica.

    Attributes:
        id: its number in the role, from 0.
        state: where it is.
        role: its role's name.
        hostname: where it runs; empty if not known.
        structured_error_msg: what it wrote to XRUN_ERROR_FILE, or NONE.
        attempt: 0 for the first start.
        exit_code: its last attempt's, None while it runs or if it was ended by a signal.
        signal: name of the signal that ended it, as in ``SIGKILL``.
        error: its last error in one line, from the error file or the end of stderr.
        native_id: the system's own name for it (a pid, a pod, a task).
        started: Unix time of the last start, 0 if none.
        ended: Unix time of the last end, 0 if none.
        endpoints: where its published ports can be reached from outside, by the port's name: ``host:port``.
    """

    id: int
    state: AppState
    role: str
    hostname: str = ""
    structured_error_msg: str = NONE
    attempt: int = 0
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    native_id: str = ""
    started: float = 0.0
    ended: float = 0.0
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """``exit 1``, ``SIGKILL`` or empty."""
        return self.signal or (f"exit {self.exit_code}" if self.exit_code is not None else "")


@dataclass
class RoleStatus:
    """The replicas of one role, by number."""

    role: str
    replicas: list[ReplicaStatus] = field(default_factory=list)


@dataclass
class AppStatus:
    """An app.

    Attributes:
        state: where it is.
        num_restarts: restarts so far, over all roles.
        msg: why it is where it is, in one line.
        structured_error_msg: the error file of the replica that failed the app, or NONE.
        ui_url: a page about it, if the system has one.
        roles: its roles.
        native_id: the system's own number, accepted in handles.
        submitted: Unix time, 0 if not known.
        ended: Unix time, 0 if it has not ended.
    """

    state: AppState
    num_restarts: int = 0
    msg: str = ""
    structured_error_msg: str = NONE
    ui_url: str | None = None
    roles: list[RoleStatus] = field(default_factory=list)
    native_id: str = ""
    submitted: float = 0.0
    ended: float = 0.0

    def is_terminal(self) -> bool:
        """True once nothing can change any more."""
        return is_terminal(self.state)

    def raise_for_status(self) -> None:
        """Raises unless the app succeeded.

        Raises:
            JobCancelled: it was cancelled.
            JobFailed: it is in any other state.
        """
        if self.state == AppState.CANCELLED:
            raise JobCancelled(self)
        if self.state != AppState.SUCCEEDED:
            raise JobFailed(self)

    def to_json(self, filter_roles: list[str] | None = None) -> dict[str, Any]:
        """Plain data, state by name.

        Args:
            filter_roles: only these roles (default: all).
        """
        return {
            "state": self.state.name,
            "num_restarts": self.num_restarts,
            "msg": self.msg,
            "structured_error_msg": self.structured_error_msg,
            "ui_url": self.ui_url,
            "native_id": self.native_id,
            "submitted": self.submitted,
            "ended": self.ended,
            "roles": [
                {"role": r.role, "replicas": [{**vars(k), "state": k.state.name} for k in r.replicas]}
                for r in self._roles(filter_roles)
            ],
        }

    def format(self, filter_roles: list[str] | None = None) -> str:
        """Some lines for a person.

        Args:
            filter_roles: only these roles (default: all).
        """
        lines = [f"state: {self.state.name}" + (f" ({self.msg})" if self.msg else "")]
        lines += [f"restarts: {self.num_restarts}"] if self.num_restarts else []
        for role in self._roles(filter_roles):
            for k in role.replicas:
                notes = [k.outcome, f"attempt {k.attempt}" if k.attempt else "", k.error]
                lines.append(f"  {role.role}/{k.id}: {k.state.name} {', '.join(filter(None, notes))}".rstrip())
        return "\n".join(lines)

    def _roles(self, only: list[str] | None) -> list[RoleStatus]:
        return [r for r in self.roles if only is None or r.role in only]
