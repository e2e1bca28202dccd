"""What is done next: tables, random walks over a simulated engine, and the rules of `Lifecycle` as a second opinion."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedulers.docker.simulated import APP_ID, Container, Simulated, Supervisor
from xrun.schedulers import lifecycle
from xrun.schedulers.docker import labels, reconcile
from xrun.schedulers.docker.labels import Restarts, Verdict
from xrun.schedulers.docker.reconcile import Create, Decide, Failure, Start, Stop
from xrun.schedulers.lifecycle import Lifecycle, Phase
from xrun.specs.role import RetryPolicy, Role

APPLICATION, ROLE, REPLICA = RetryPolicy.APPLICATION, RetryPolicy.ROLE, RetryPolicy.REPLICA


def role(
    name: str = "a", replicas: int = 1, retries: int = 0, policy: RetryPolicy = APPLICATION, **more: object
) -> Role:
    made = Role(name, entrypoint="x", num_replicas=replicas, max_retries=retries, retry_policy=policy)
    for field, value in more.items():
        setattr(made, field, value)
    return made


def started(*roles: Role) -> tuple[Simulated, Supervisor]:
    engine = Simulated(roles)
    supervisor = Supervisor(engine)
    supervisor.settle()
    return engine, supervisor


def at(engine: Simulated, r: int, k: int) -> Container:
    return engine.of(engine.found().latest()[r, k])


# --- one step after the other --------------------------------------------------------------------------------------


def test_all_are_started_at_once() -> None:
    engine = Simulated([role("a", 2), role("b", primary=False)])
    actions = reconcile.plan(engine.found(), engine.roles, {})
    assert [type(a) for a in actions] == [Start] * 3


def test_an_end_is_recorded_before_anything_is_stopped() -> None:
    engine, supervisor = started(role("a", 2))
    engine.end(at(engine, 0, 1), 3)
    assert supervisor.step()
    assert engine.verdicts == [Verdict("FAILED", "a/1 failed: exit 3", (0, 1), 1.0)]
    assert len(engine.running()) == 1
    supervisor.settle()
    assert supervisor.done


def test_the_first_failure_is_the_cause() -> None:
    engine, supervisor = started(role("a", 3))
    engine.end(at(engine, 0, 2), 3)
    engine.end(at(engine, 0, 0), 4)
    supervisor.settle()
    assert engine.verdicts[0].reason == "a/2 failed: exit 3"


def test_a_retry_that_is_left_does_not_count_against_min_replicas() -> None:
    engine, supervisor = started(role("a", 3, 1, REPLICA, min_replicas=2))
    engine.end(at(engine, 0, 0), 3)
    supervisor.settle()
    engine.end(at(engine, 0, 0), 3)  # its last attempt: one is lost, and two may still run
    engine.end(at(engine, 0, 1), 3)  # this one has a retry
    supervisor.settle()
    assert not engine.verdicts
    assert at(engine, 0, 1).state == "running"


def test_a_failure_that_nobody_could_look_at_is_no_success() -> None:
    engine = Simulated([role("a")])
    at(engine, 0, 0).state = "running"
    engine.end(at(engine, 0, 0), 3)
    assert reconcile.plan(engine.found(), engine.roles, {}) == []


def test_a_removed_container_fails_the_app() -> None:
    engine, supervisor = started(role("a", 2))
    del engine.made[at(engine, 0, 1).name]
    supervisor.settle()
    assert engine.verdicts[0][:3] == ("FAILED", "a/1 failed: somebody removed its container", (0, 1))
    assert supervisor.done


def test_a_removed_container_is_a_lost_replica() -> None:
    engine, supervisor = started(role("a", 3, min_replicas=2), role("b", primary=False))
    del engine.made[at(engine, 0, 2).name], engine.made[at(engine, 1, 0).name]
    supervisor.settle()
    assert not engine.verdicts
    for k in range(2):
        engine.end(at(engine, 0, k), 0)
    supervisor.settle()
    assert engine.verdicts[0].state == "SUCCEEDED"


def test_a_removed_last_attempt_is_made_again_and_counts_no_more() -> None:
    engine, supervisor = started(role("a", 1, 1))
    engine.end(at(engine, 0, 0), 3)
    supervisor.settle()
    second = at(engine, 0, 0)
    assert second.restarts == Restarts(1, 0, 0)
    del engine.made[second.name]
    supervisor.settle()
    assert at(engine, 0, 0).restarts == Restarts(1, 0, 0)
    engine.end(at(engine, 0, 0), 3)
    supervisor.settle()
    assert engine.verdicts[0].reason == "a/0 failed: exit 3 after 2 attempts"


def test_an_old_attempt_that_another_supervisor_started_is_stopped() -> None:
    engine, supervisor = started(role("a", 2, 1))
    old = at(engine, 0, 1)
    engine.end(at(engine, 0, 0), 3)
    supervisor.settle()
    assert at(engine, 0, 1).restarts.app == 1
    old.state = "running"
    supervisor.settle()
    assert old.state == "exited"
    assert [c.restarts.attempt for c in engine.running()] == [1, 1]


def test_what_cannot_be_started_fails_the_app() -> None:
    engine = Simulated([role("a")], startable=lambda: False)
    supervisor = Supervisor(engine)
    supervisor.settle()
    assert engine.verdicts[0].reason == "a/0 failed: exit 127"


def test_containers_of_no_replica_are_passed_over() -> None:
    engine, supervisor = started(role("a"))
    stray = Container((3, 7), Restarts(), "z", True)
    engine.made[stray.name] = stray
    engine.end(at(engine, 0, 0), 0)
    supervisor.settle()
    assert engine.verdicts[0].state == "SUCCEEDED"


@pytest.mark.parametrize(("policy", "restarts"), [(APPLICATION, 1), (ROLE, 1), (REPLICA, 1)])
def test_a_restart_of_many_counts_once(policy: RetryPolicy, restarts: int) -> None:
    engine, supervisor = started(role("a", 3, 2, policy), role("b"))
    engine.end(at(engine, 0, 1), 3)
    supervisor.settle()
    assert reconcile.num_restarts(engine.found(), engine.roles) == restarts
    attempts = [at(engine, r, k).restarts.attempt for r, k in [(0, 0), (0, 1), (0, 2), (1, 0)]]
    assert attempts == {APPLICATION: [1, 1, 1, 1], ROLE: [1, 1, 1, 0], REPLICA: [0, 1, 0, 0]}[policy]


# --- random walks --------------------------------------------------------------------------------------------------


@st.composite
def jobs(draw: st.DrawFn) -> list[Role]:
    made = []
    for r in range(draw(st.integers(1, 3))):
        replicas = draw(st.integers(1, 3))
        least = draw(st.none() | st.integers(1, replicas))
        policy, retries = draw(st.sampled_from(list(RetryPolicy))), draw(st.integers(0, 2))
        primary = r == 0 or draw(st.booleans())
        made.append(role("abc"[r], replicas, retries, policy, min_replicas=least, primary=primary))
    return made


def most_attempts(roles: list[Role], r: int) -> int:
    """How many attempts a replica of a role can have."""
    app = max((x.max_retries for x in roles if x.retry_policy is APPLICATION and x.primary), default=0)
    own = roles[r].max_retries if roles[r].retry_policy is not APPLICATION or not roles[r].primary else 0
    return 1 + app + own


def check(engine: Simulated) -> None:
    """What holds at any moment."""
    by_key: dict[tuple[int, int], int] = {}
    for c in engine.made.values():
        by_key[c.key] = by_key.get(c.key, 0) + 1
    for (r, _), count in by_key.items():
        assert count <= most_attempts(list(engine.roles), r)


def check_end(engine: Simulated) -> None:
    """What the end must be, seen from the containers."""
    assert not engine.running()
    (verdict,) = engine.verdicts
    latest = engine.found().latest()
    if verdict.state == "FAILED":
        assert verdict.failed is not None
        assert engine.roles[verdict.failed[0]].primary
        assert verdict.reason.startswith(f"{engine.roles[verdict.failed[0]].name}/{verdict.failed[1]} failed: exit ")
        failed = engine.of(latest[verdict.failed])
        assert failed.exit_code or not failed.startable
        return
    assert verdict.state == "SUCCEEDED"
    for r, one in enumerate(engine.roles):
        well = sum(1 for key, c in latest.items() if key[0] == r and c.exit_code == 0)
        assert not one.primary or well >= (one.min_replicas or one.num_replicas)


@settings(max_examples=200, deadline=None)
@given(jobs(), st.integers(1, 2), st.data())
def test_supervisors_may_die_between_any_two_actions(roles: list[Role], side_by_side: int, data: st.DataObject) -> None:
    flip = st.integers(0, 9)
    engine = Simulated(roles, startable=lambda: data.draw(flip) > 0)

    def fresh() -> Supervisor:
        return Supervisor(engine, stop_code=lambda: data.draw(st.sampled_from([0, 143])))

    supervisors = [fresh() for _ in range(side_by_side)]
    first = None
    for _ in range(data.draw(st.integers(0, 60))):
        which = data.draw(st.integers(0, side_by_side - 1))
        what = data.draw(st.sampled_from(["step", "step", "step", "exit", "kill"]))
        if what == "kill":
            supervisors[which] = fresh()
        elif what == "exit" and engine.running():
            engine.end(data.draw(st.sampled_from(engine.running())), data.draw(st.sampled_from([0, 0, 1, 3])))
        else:
            supervisors[which].step()
        check(engine)
        if first is not None:
            assert engine.verdicts == first
        first = list(engine.verdicts) or None
    last = fresh()  # the others are gone; whatever they left, this one brings it to an end
    for _ in range(200):
        last.settle()
        check(engine)
        if last.done:
            break
        assert engine.running(), "nothing runs and nothing is done"
        engine.end(engine.running()[0], data.draw(st.sampled_from([0, 1])))
    assert last.done
    assert first is None or engine.verdicts == first
    check_end(engine)


# --- a second opinion ----------------------------------------------------------------------------------------------


class Second:
    """The same job by `Lifecycle`, whose stops take no time."""

    def __init__(self, roles: list[Role]) -> None:
        self.life = Lifecycle(roles)
        self.attempts: dict[tuple[int, int], int] = {}
        self.end: lifecycle.Finish | None = None
        self._do(self.life.start())

    def exited(self, key: tuple[int, int], code: int) -> None:
        self._do(self.life.exited(key, code == 0, f"exit {code}"))

    def running(self) -> dict[tuple[int, int], int]:
        return {key: n for key, n in self.attempts.items() if self.life.phase(key) is Phase.RUNNING}

    def _do(self, actions: list[lifecycle.Action]) -> None:
        for action in actions:
            if isinstance(action, lifecycle.Start):
                self.attempts[action.key] = action.attempt
            elif isinstance(action, lifecycle.Stop):
                self._do(self.life.exited(action.key, False, "SIGTERM"))
            else:
                self.end = action


@settings(max_examples=200, deadline=None)
@given(jobs(), st.data())
def test_lifecycle_agrees(roles: list[Role], data: st.DataObject) -> None:
    engine, second = Simulated(roles), Second(roles)
    supervisor = Supervisor(engine)
    supervisor.settle()
    while second.end is None:
        assert {c.key: c.restarts.attempt for c in engine.running()} == second.running()
        assert reconcile.num_restarts(engine.found(), roles) == second.life.num_restarts
        c = data.draw(st.sampled_from(sorted(engine.running(), key=lambda c: c.key)))
        code = data.draw(st.sampled_from([0, 0, 1, 3]))
        engine.end(c, code)
        second.exited(c.key, code)
        supervisor.settle()
    assert supervisor.done
    (verdict,) = engine.verdicts
    assert (verdict.state, verdict.reason, verdict.failed) == (
        second.end.state.name,
        second.end.reason,
        second.end.failed,
    )
    assert reconcile.num_restarts(engine.found(), roles) == second.life.num_restarts


# --- the names of what is planned ----------------------------------------------------------------------------------


def test_the_next_attempt_is_decided_by_the_one_that_failed() -> None:
    engine, _ = started(role("a", 2, 1))
    engine.end(at(engine, 0, 1), 3)
    seen = engine.found().latest()[0, 1]
    planned = reconcile.plan(engine.found(), engine.roles, {seen.id: Failure("exit 3", 1.0)})
    assert planned == [Create(seen, Restarts(1, 0, 0))]
    engine.create((0, 1), Restarts(1, 0, 0))
    assert reconcile.plan(engine.found(), engine.roles, {}) == [Stop(engine.found().latest()[0, 0])]


def test_a_job_without_any_container_fails() -> None:
    found = labels.Found(APP_ID, [], None)
    assert reconcile.plan(found, [role("a")], {}) == [
        Decide("FAILED", "a/0 failed: somebody removed its container", (0, 0))
    ]
