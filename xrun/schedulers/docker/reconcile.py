"""What is to be done next for an app whose containers are given. Pure: no engine, no clock, no memory.

The rules are the contract's (see `xrun.schedulers.lifecycle`), told from what is there instead of from what happened,
so that a supervisor may die at any moment and another go on. A restart is decided by creating the next attempt of the
replica that failed: its counters make every other attempt that belongs to the restart old. An end is decided by a
`Verdict`, which is recorded before anything is stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xrun.schedulers.docker.labels import Found, Restarts, Seen, Verdict
from xrun.specs.role import RetryPolicy, Role

Key = tuple[int, int]


class Start(NamedTuple):
    """Start a container that was created."""

    container: Seen


class Stop(NamedTuple):
    """Stop a container: SIGTERM, grace period, SIGKILL."""

    container: Seen


class Create(NamedTuple):
    """Create the next attempt after a container; it is not started yet."""

    previous: Seen
    restarts: Restarts


class Decide(NamedTuple):
    """Record how the app ends."""

    state: str
    reason: str
    failed: Key | None


class Done(NamedTuple):
    """The app has ended and nothing of it runs."""

    verdict: Verdict


Action = Start | Stop | Create | Decide | Done


class Failure(NamedTuple):
    """How a replica failed.

    Attributes:
        outcome: for the reason, as in ``exit 3``.
        time: when, so that the first of several is the cause.
    """

    outcome: str
    time: float


def plan(found: Found, roles: Sequence[Role], failures: Mapping[str, Failure]) -> list[Action]:
    """The next actions, to be carried out at once; none if something is awaited.

    Args:
        found: the app's containers.
        roles: what was submitted.
        failures: container id -> how it failed, for every container that failed.
    """
    latest = found.latest()
    if found.verdict is not None:
        running = [c for c in found.containers if c.runs]
        return [Stop(c) for c in running] if running else [Done(found.verdict)]
    old = _old(latest)
    if old:
        return _catch_up(latest, old)
    failed = [c for c in latest.values() if c.id in failures]
    for c in sorted(failed, key=lambda c: failures[c.id].time):
        action = _answer(c, roles, failures, failed)
        if action is not None:
            return [action]
    waiting = [Start(c) for c in latest.values() if c.state == "created" and c.id not in failures]
    return list(waiting) or _success(latest, roles, failures)


def num_restarts(found: Found, roles: Sequence[Role]) -> int:
    """Restarts so far; one restart of many replicas counts once."""
    latest = found.latest()
    app = max((c.restarts.app for c in latest.values()), default=0)
    by_role = [max((c.restarts.role for c in latest.values() if c.role == r), default=0) for r in range(len(roles))]
    return app + sum(by_role) + sum(c.restarts.replica for c in latest.values())


def _old(latest: Mapping[Key, Seen]) -> dict[Key, Restarts]:
    """The replicas that belong to a restart which has begun and not yet reached them: what they must become."""
    app = max(c.restarts.app for c in latest.values())
    role: dict[int, int] = {}
    for c in latest.values():
        role[c.role] = max(role.get(c.role, 0), c.restarts.role)
    wanted = {key: Restarts(app, role[c.role], c.restarts.replica) for key, c in latest.items()}
    return {key: w for key, w in wanted.items() if (w.app, w.role) != latest[key].restarts[:2]}


def _catch_up(latest: Mapping[Key, Seen], old: Mapping[Key, Restarts]) -> list[Action]:
    """Stops what a restart has not reached; once all of that has stopped, creates its next attempts."""
    running: list[Action] = [Stop(latest[key]) for key in old if latest[key].runs]
    return running or [Create(latest[key], restarts) for key, restarts in old.items()]


def _answer(c: Seen, roles: Sequence[Role], failures: Mapping[str, Failure], failed: Sequence[Seen]) -> Action | None:
    """What follows from a failure; None if nothing does."""
    role = roles[c.role]
    policy = role.retry_policy
    if policy is RetryPolicy.APPLICATION and not role.primary:
        policy = RetryPolicy.ROLE  # a role without a say doesn't restart the others
    place = {RetryPolicy.APPLICATION: 0, RetryPolicy.ROLE: 1, RetryPolicy.REPLICA: 2}[policy]
    if c.restarts[place] < role.max_retries:
        counters = list(c.restarts)
        counters[place] += 1
        return Create(c, Restarts(*counters))
    if not role.primary:
        return None
    lost = sum(1 for other in failed if other.role == c.role)
    if role.min_replicas is not None and role.num_replicas - lost >= role.min_replicas:
        return None
    attempts = c.restarts.attempt + 1
    after = f" after {attempts} attempts" if attempts > 1 else ""
    return Decide("FAILED", f"{role.name}/{c.replica} failed: {failures[c.id].outcome}{after}", c.key)


def _success(latest: Mapping[Key, Seen], roles: Sequence[Role], failures: Mapping[str, Failure]) -> list[Action]:
    for c in latest.values():
        if roles[c.role].primary and c.exit_code is None and c.id not in failures:
            return []
    return [Decide("SUCCEEDED", "", None)]
