"""Who starts, stops and restarts, and how it ends: the rules of a gang, without a process or a clock.

A backend that supervises replicas itself feeds in what happened and carries out the actions it gets back. The rules are
the contract's: a primary replica that fails beyond its retries fails the app and stops the rest; with ``min_replicas``
a role fails only when fewer can still run; roles that are not primary are stopped when the primary ones are done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from xrun.specs.role import RetryPolicy, Role
from xrun.specs.states import AppState

Key = tuple[int, int]
"""(index of the role, number of the replica)."""


class Start(NamedTuple):
    """Start this attempt of a replica."""

    key: Key
    attempt: int


class Stop(NamedTuple):
    """Stop a replica (SIGTERM, grace period, SIGKILL); its end is reported like any other."""

    key: Key


class Finish(NamedTuple):
    """The app has ended and nothing of it runs."""

    state: AppState
    reason: str
    failed: Key | None


Action = Start | Stop | Finish


class Phase(Enum):
    """Where one replica is."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(eq=False, repr=False)
class _Replica:
    phase: Phase = Phase.WAITING
    attempt: int = -1
    retries: int = 0
    stopping: bool = False


@dataclass(eq=False, repr=False)
class _Verdict:
    state: AppState
    reason: str
    failed: Key | None = None


@dataclass(eq=False, repr=False)
class Lifecycle:
    """The state of one app; every method returns what to do next, in order.

    Attributes:
        roles: the app's roles; only counts and policies are read.
        num_restarts: restarts so far; one restart of many replicas counts once.
    """

    roles: Sequence[Role]
    num_restarts: int = 0
    _replicas: dict[Key, _Replica] = field(default_factory=dict)
    _role_retries: dict[int, int] = field(default_factory=dict)
    _app_retries: int = 0
    _restarting: list[set[Key]] = field(default_factory=list)
    _verdict: _Verdict | None = None

    def __post_init__(self) -> None:
        self._replicas = {(r, k): _Replica() for r, role in enumerate(self.roles) for k in range(role.num_replicas)}

    def start(self) -> list[Action]:
        """Starts everything."""
        return self._start(self._replicas)

    def exited(self, key: Key, ok: bool, outcome: str) -> list[Action]:
        """A replica ended.

        Args:
            key: which.
            ok: whether it ended well by itself (exit 0).
            outcome: how, for the reason of a failure, as in ``exit 3`` or ``SIGKILL``.
        """
        replica = self._replicas[key]
        stopped, replica.stopping = replica.stopping, False
        replica.phase = Phase.STOPPED if stopped else Phase.SUCCEEDED if ok else Phase.FAILED
        if self._verdict:
            return self._finish_when_quiet()
        for group in self._restarting:
            if key in group:
                return self._restart_when_quiet(group)
        return self._after_success() if ok else self._after_failure(key, outcome)

    def stop(self, state: AppState, reason: str) -> list[Action]:
        """Ends the app from outside (cancel, time limit); does nothing once its end is decided."""
        if self._verdict:
            return []
        return self._end(_Verdict(state, reason))

    def phase(self, key: Key) -> Phase:
        """Where a replica is."""
        return self._replicas[key].phase

    @property
    def ending(self) -> bool:
        """Whether the app's end is decided."""
        return self._verdict is not None

    def _start(self, keys: Iterable[Key]) -> list[Action]:
        actions: list[Action] = []
        for key in sorted(keys):
            replica = self._replicas[key]
            replica.phase, replica.attempt = Phase.RUNNING, replica.attempt + 1
            actions.append(Start(key, replica.attempt))
        return actions

    def _stop(self, keys: Iterable[Key]) -> list[Action]:
        actions: list[Action] = []
        for key in sorted(keys):
            replica = self._replicas[key]
            if replica.phase is Phase.RUNNING and not replica.stopping:
                replica.stopping = True
                actions.append(Stop(key))
        return actions

    def _after_success(self) -> list[Action]:
        if all(self._is_done(r) for r, role in enumerate(self.roles) if role.primary):
            return self._end(_Verdict(AppState.SUCCEEDED, ""))
        return []

    def _after_failure(self, key: Key, outcome: str) -> list[Action]:
        role = self.roles[key[0]]
        policy = role.retry_policy
        if policy is RetryPolicy.APPLICATION and not role.primary:
            policy = RetryPolicy.ROLE  # a role without a say doesn't restart the others
        if self._take_retry(key, policy, role.max_retries):
            self.num_restarts += 1
            return self._restart(key, policy)
        if not role.primary:
            return []
        failed = [k for k in self._of_role(key[0]) if self._replicas[k].phase is Phase.FAILED]
        if role.min_replicas is not None and role.num_replicas - len(failed) >= role.min_replicas:
            return self._after_success()
        attempts = self._replicas[key].attempt + 1
        after = f" after {attempts} attempts" if attempts > 1 else ""
        return self._end(_Verdict(AppState.FAILED, f"{role.name}/{key[1]} failed: {outcome}{after}", key))

    def _take_retry(self, key: Key, policy: RetryPolicy, limit: int) -> bool:
        """Whether there is a retry left; one that is not has used up nothing, since roles may have different limits."""
        replica, r = self._replicas[key], key[0]
        if policy is RetryPolicy.REPLICA:
            if replica.retries >= limit:
                return False
            replica.retries += 1
        elif policy is RetryPolicy.ROLE:
            if self._role_retries.get(r, 0) >= limit:
                return False
            self._role_retries[r] = self._role_retries.get(r, 0) + 1
        else:
            if self._app_retries >= limit:
                return False
            self._app_retries += 1
        return True

    def _restart(self, key: Key, policy: RetryPolicy) -> list[Action]:
        if policy is RetryPolicy.REPLICA:
            return self._start([key])
        group = self._of_role(key[0]) if policy is RetryPolicy.ROLE else set(self._replicas)
        if policy is RetryPolicy.APPLICATION:
            self._restarting.clear()
        self._restarting.append(group)
        return [*self._stop(group), *self._restart_when_quiet(group)]

    def _restart_when_quiet(self, group: set[Key]) -> list[Action]:
        if any(self._replicas[k].phase is Phase.RUNNING for k in group):
            return []
        self._restarting.remove(group)
        return self._start(group)

    def _end(self, verdict: _Verdict) -> list[Action]:
        self._verdict = verdict
        self._restarting.clear()
        return [*self._stop(self._replicas), *self._finish_when_quiet()]

    def _finish_when_quiet(self) -> list[Action]:
        verdict = self._verdict
        if verdict is None or any(r.phase is Phase.RUNNING for r in self._replicas.values()):
            return []
        return [Finish(verdict.state, verdict.reason, verdict.failed)]

    def _is_done(self, r: int) -> bool:
        return all(self._replicas[k].phase in (Phase.SUCCEEDED, Phase.FAILED) for k in self._of_role(r))

    def _of_role(self, r: int) -> set[Key]:
        return {(r, k) for k in range(self.roles[r].num_replicas)}
