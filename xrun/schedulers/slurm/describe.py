"""What a job's folder and Slurm say of it, in the contract's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xrun.errors import InvalidValue
from xrun.schedulers import outcome
from xrun.schedulers.api import AppDescription
from xrun.schedulers.slurm import states
from xrun.schedulers.slurm.client import Row
from xrun.schedulers.slurm.jobroot import OUTPUT, JobFolder
from xrun.schedulers.slurm.record import Record, Replica
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.serialize import from_dict
from xrun.specs.states import AppState, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

_LOST = "what ran it was killed, slurmstepd or the shell beside it"
_LIMIT = "DUE TO TIME LIMIT"  # what slurmstepd puts into a job's output
_ERRORS = 32  # failed replicas whose last words are looked up


class Answer:
    """What is known of one app.

    Args:
        folder: its folder.
        head: what was submitted.
        record: what its script has noted.
        row: what Slurm says; None if it says nothing, or wasn't asked.
    """

    def __init__(self, folder: JobFolder, head: Mapping[str, Any], record: Record, row: Row | None) -> None:
        self._folder, self.head, self._record, self._row = folder, head, record, row
        self.app = app_of(head)
        known = {} if record.verdict else folder.ended()
        # what somebody saw doesn't count once it runs again; Slurm's times are whole seconds
        self._known = known if known and known["ended"] >= int(record.began) else {}
        self.is_final = bool(record.verdict or self._known)
        self.submitted: float = head.get("submitted", row.submitted if row else 0.0)
        self.state, self.reason, self.ended = self._judge()

    def description(self) -> AppDescription:
        """The whole of it."""
        roles = self.app.roles if self.app else []
        left = [_ERRORS]
        statuses = [
            RoleStatus(role.name, [self._replica(r, role, k, left) for k in range(role.num_replicas)])
            for r, role in enumerate(roles)
        ]
        failed = self._failed(statuses)
        head = self.head
        status = AppStatus(
            state=self.state,
            num_restarts=self._record.restarts,
            msg=self._message(failed),
            structured_error_msg=failed.structured_error_msg if failed else NONE,
            roles=statuses,
            native_id=self._folder.job_id(),
            submitted=self.submitted,
            ended=self.ended if is_terminal(self.state) else 0.0,
        )
        return AppDescription(
            self._folder.app_id,
            status,
            self.app,
            request_id=head.get("request_id", ""),
            spec_hash=head.get("spec_hash", ""),
            user=head.get("user", self._row.user if self._row else ""),
            submitted=status.submitted,
            handle=head.get("handle", ""),
            options=head.get("options", {}),
        )

    def _judge(self) -> tuple[AppState, str, float]:
        """State, reason and end: the script's word, else what somebody saw, else Slurm's."""
        if self._record.verdict:
            return AppState[self._record.verdict[0]], "", self._record.ended
        if known := self._known:
            return AppState[known["state"]], known["reason"], known["ended"]
        row = self._row
        if row is None:
            return self._lost()
        state = states.state_of(row.state)
        if not is_terminal(state):
            reason = states.waiting_for(row.reason) if state is AppState.PENDING else ""
            return state, reason if state is not AppState.UNKNOWN else f"Slurm calls it {row.state}", 0.0
        if self._folder.is_cancelled():
            return AppState.CANCELLED, "cancelled", row.ended
        if state is AppState.CANCELLED:
            return state, "cancelled with Slurm's own commands", row.ended
        reason = states.ENDS.get(row.state, f"Slurm calls it {row.state}")
        if not self._record.job_id:
            last = self._folder.tail(OUTPUT) or f"its node may not see {self._folder.path}; job_root must be shared"
            reason = f"it ended before it began ({row.state}): {last}"
        elif row.state == "FAILED":
            when = "" if self._record.replicas else " before any replica began, as by what setup or modules say"
            last = self._folder.tail(OUTPUT)
            reason = f"its script failed{when}{': ' + last if last else ''}"
        return state, reason, row.ended

    def _lost(self) -> tuple[AppState, str, float]:
        job = self._folder.job_id()
        if self._folder.is_cancelled():
            return AppState.CANCELLED, "cancelled", self._last_time()
        if not job:
            if self._folder.is_locked():
                return AppState.PENDING, "it is being submitted", 0.0
            return AppState.FAILED, "lost before it was submitted; the same --request-id submits it", self._last_time()
        if _LIMIT in (self._folder.read(OUTPUT) or ""):
            return AppState.FAILED, states.ENDS["TIMEOUT"], self._last_time()
        if self._record.killed and self.head.get("options", {}).get("requeue"):  # what else may be, runs it again
            why = "ended by Slurm, as by its own commands; it knows nothing of the job any more"
            return AppState.CANCELLED, why, self._record.killed
        why = f"Slurm knows nothing of job {job} any more, and its script did not say how it ended"
        if not self._record.job_id:
            why = f"Slurm knows nothing of job {job} any more, and it did not begin, as if scancel had ended it before"
            why += f"; or its node does not see {self._folder.path}, job_root must be shared"
        last = self._folder.tail(OUTPUT)
        return AppState.FAILED, f"exit code unknown: {why}{f' ({last})' if last else ''}", self._last_time()

    def _last_time(self) -> float:
        times = [t for k in self._record.replicas.values() for t in (k.started, k.ended)]
        return float(max([*times, self._record.began, self.head.get("submitted", 0.0)]))

    def _replica(self, r: int, role: Role, k: int, left: list[int]) -> ReplicaStatus:
        known = self._record.replicas.get((r, k), Replica())
        status = ReplicaStatus(k, self._state_of(r, k, known), role.name, known.host, attempt=max(known.attempt, 0))
        status.native_id = self._record.job_id
        if self.state is not AppState.PENDING:  # it may have run before, and been put back into the queue
            status.started, status.ended = known.started, known.ended
        if known.ended and known.code is not None:
            if 128 < known.code <= 128 + 64:
                status.signal = outcome.signal_name(known.code - 128)
            else:
                status.exit_code = known.code
        if status.state is AppState.FAILED and left[0]:
            left[0] -= 1
            name = f"{role.name}.{k}"
            detail = self._folder.read(f"{name}.error-{status.attempt}.json") or ""
            unseen = f"its node does not see {self._folder.path}; job_root must be shared"
            last = {"lost": _LOST, "unseen": unseen}.get(known.word) or self._folder.tail(f"{name}.err")
            status.error = outcome.error_line(detail) or last
            status.structured_error_msg = detail or NONE
        return status

    def _state_of(self, r: int, k: int, known: Replica) -> AppState:
        over = is_terminal(self.state)
        if known.ended and known.word != "again":
            if known.word == "stopped":
                return AppState.CANCELLED if over else AppState.PENDING
            return AppState.SUCCEEDED if known.code == 0 else AppState.FAILED
        if not over:
            return AppState.RUNNING if known.started and self.state is AppState.RUNNING else AppState.PENDING
        lost = self.state is AppState.FAILED and self._record.verdict[1:3] in ([], [str(r), "-"])
        return AppState.FAILED if known.started and lost else AppState.CANCELLED

    def _failed(self, statuses: list[RoleStatus]) -> ReplicaStatus | None:
        """The replica that failed the app."""
        words = self._record.verdict
        if len(words) < 4 or words[0] != "FAILED" or not words[2].isdigit():
            return None
        r, k = int(words[1]), int(words[2])
        return statuses[r].replicas[k] if r < len(statuses) and k < len(statuses[r].replicas) else None

    def _message(self, failed: ReplicaStatus | None) -> str:
        words = self._record.verdict
        if not words:
            return self.reason
        if failed is not None:
            error = f": {failed.error}" if failed.error else ""
            after = f" after {failed.attempt + 1} attempts" if failed.attempt else ""
            return f"{failed.role}/{failed.id} failed: {failed.outcome}{error}{after}"
        if words[0] == "CANCELLED":
            return "cancelled"
        if words[1:2] == ["overtime"]:
            return f"stopped after max_runtime, {seconds(self.head, 'max_runtime'):g} s"
        if words[1:2] == ["limit"]:
            after = ", after max_requeues" if self.head.get("options", {}).get("requeue") else ""
            return f"{states.ENDS['TIMEOUT']}{after}"
        if words[0] == "FAILED":
            r = int(words[1])
            role = self.app.roles[r].name if self.app and r < len(self.app.roles) else "a role"
            last = self._folder.tail(OUTPUT)
            return f"{role} lost a replica, and srun ended with {words[3]}{': ' + last if last else ''}"
        return ""


def seconds(head: Mapping[str, Any], name: str) -> float:
    """An option that counts seconds, as it was when the job was submitted; 0 if that isn't known."""
    given = head.get("options", {}).get(name)
    return float(given) if isinstance(given, int | float) else 0.0


def app_of(head: Mapping[str, Any]) -> AppDef | None:
    """The job as it was submitted; None if that can't be read."""
    try:
        return from_dict(head["app"])
    except (InvalidValue, KeyError, TypeError, RecursionError):
        return None
