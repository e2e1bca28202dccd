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
    running = [c for c in found.containers if c.runs]
    if found.verdict is not None:
        return [Stop(c) for c in running] if running else [Done(found.verdict)]
    keys = [(r, k) for r, role in enumerate(roles) for k in range(role.num_replicas)]
    latest = {key: c for key, c in found.latest().items() if key in set(keys)}
    superseded = [c for c in running if c.key in latest and latest[c.key].id != c.id]
    if superseded:
        return [Stop(c) for c in superseded]  # two supervisors started the one and made the other
    old = _old(latest)
    if old:
        return _catch_up(latest, old)
    failed = [c for c in latest.values() if c.id in failures]
    action = _answer(sorted(failed, key=lambda c: failures[c.id].time), roles, failures)
    if action is None:
        action = _answer_removed([key for key in keys if key not in latest], failed, roles)
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
    app = max((c.restarts.app for c in latest.values()), default=0)
    role: dict[int, int] = {}
    for c in latest.values():
        role[c.role] = max(role.get(c.role, 0), c.restarts.role)
    wanted = {key: Restarts(app, role[c.role], c.restarts.replica) for key, c in latest.items()}
    return {key: w for key, w in wanted.items() if (w.app, w.role) != latest[key].restarts[:2]}


def _catch_up(latest: Mapping[Key, Seen], old: Mapping[Key, Restarts]) -> list[Action]:
    """Stops what a restart has not reached; once all of that has stopped, creates its next attempts."""
    running: list[Action] = [Stop(latest[key]) for key in old if latest[key].runs]
    return running or [Create(latest[key], restarts) for key, restarts in old.items()]


def _answer(failed: Sequence[Seen], roles: Sequence[Role], failures: Mapping[str, Failure]) -> Action | None:
    """What follows from failures, in order of time; None if nothing does."""
    lost: list[Key] = []
    for c in failed:
        restarts = _next(c, roles)
        if restarts is not None:
            return Create(c, restarts)
        lost.append(c.key)
        attempts = c.restarts.attempt + 1
        after = f" after {attempts} attempts" if attempts > 1 else ""
        if _fails_app(c.key, roles, lost):
            return Decide("FAILED", f"{_shown(c.key, roles)} failed: {failures[c.id].outcome}{after}", c.key)
    return None


def _answer_removed(gone: Sequence[Key], failed: Sequence[Seen], roles: Sequence[Role]) -> Action | None:
    """What follows from replicas that have no container; None if nothing does."""
    lost = [*gone, *(c.key for c in failed)]
    for key in gone:
        if _fails_app(key, roles, lost):
            return Decide("FAILED", f"{_shown(key, roles)} failed: somebody removed its container", key)
    return None


def _next(c: Seen, roles: Sequence[Role]) -> Restarts | None:
    """What comes before the next attempt after one that failed; None if there is no retry left."""
    role = roles[c.role]
    policy = role.retry_policy
    if policy is RetryPolicy.APPLICATION and not role.primary:
        policy = RetryPolicy.ROLE  # a role without a say doesn't restart the others
    place = {RetryPolicy.APPLICATION: 0, RetryPolicy.ROLE: 1, RetryPolicy.REPLICA: 2}[policy]
    if c.restarts[place] >= role.max_retries:
        return None
    counters = list(c.restarts)
    counters[place] += 1
    return Restarts(*counters)


def _fails_app(key: Key, roles: Sequence[Role], lost: Sequence[Key]) -> bool:
    """Whether the app fails since a replica is lost, given all that are."""
    role = roles[key[0]]
    if not role.primary:
        return False
    left = role.num_replicas - sum(1 for r, _ in lost if r == key[0])
    return role.min_replicas is None or left < role.min_replicas


def _shown(key: Key, roles: Sequence[Role]) -> str:
    return f"{roles[key[0]].name}/{key[1]}"


def _success(latest: Mapping[Key, Seen], roles: Sequence[Role], failures: Mapping[str, Failure]) -> list[Action]:
    for c in latest.values():
        if roles[c.role].primary and c.exit_code != 0 and c.id not in failures:
            return []
    return [Decide("SUCCEEDED", "", None)]
