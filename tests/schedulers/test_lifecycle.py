"""The rules of a gang: tables of what follows from what, and random walks that no rule may break."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.schedulers.lifecycle import Action, Finish, Key, Lifecycle, Phase, Start, Stop
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.states import AppState

APPLICATION, ROLE, REPLICA = RetryPolicy.APPLICATION, RetryPolicy.ROLE, RetryPolicy.REPLICA


def role(
    name: str = "a", replicas: int = 1, retries: int = 0, policy: RetryPolicy = APPLICATION, **more: object
) -> Role:
    made = Role(name, entrypoint="x", num_replicas=replicas, max_retries=retries, retry_policy=policy)
    for field, value in more.items():
        setattr(made, field, value)
    return made


def started(*roles: Role) -> Lifecycle:
    life = Lifecycle(roles)
    life.start()
    return life


def fail(life: Lifecycle, key: Key, outcome: str = "exit 1") -> list[Action]:
    return life.exited(key, ok=False, outcome=outcome)


def succeed(life: Lifecycle, key: Key) -> list[Action]:
    return life.exited(key, ok=True, outcome="exit 0")


# --- one step after the other --------------------------------------------------------------------------------------


def test_everything_starts_together() -> None:
    life = Lifecycle([role("a", 2), role("b", primary=False)])
    assert life.start() == [Start((0, 0), 0), Start((0, 1), 0), Start((1, 0), 0)]


def test_success_when_all_have_exited_0() -> None:
    life = started(role("a", 2), role("b"))
    assert succeed(life, (0, 0)) == []
    assert succeed(life, (1, 0)) == []
    assert succeed(life, (0, 1)) == [Finish(AppState.SUCCEEDED, "", None)]


def test_a_failure_stops_the_rest_and_the_app_ends_when_they_have() -> None:
    life = started(role("a", 3))
    assert fail(life, (0, 1), "exit 3: boom") == [Stop((0, 0)), Stop((0, 2))]
    assert life.ending
    assert succeed(life, (0, 0)) == []
    assert fail(life, (0, 2), "SIGKILL") == [Finish(AppState.FAILED, "a/1 failed: exit 3: boom", (0, 1))]
    assert [life.phase((0, k)) for k in range(3)] == [Phase.STOPPED, Phase.FAILED, Phase.STOPPED]


def test_a_failure_after_the_others_success_fails_the_app() -> None:
    life = started(role("a", 2))
    succeed(life, (0, 0))
    assert fail(life, (0, 1)) == [Finish(AppState.FAILED, "a/1 failed: exit 1", (0, 1))]


def test_a_role_without_retries_uses_up_none_of_anothers() -> None:
    life = started(role("a", 1, 1), role("b", 2, 0, min_replicas=1))
    assert fail(life, (1, 0)) == []
    assert fail(life, (0, 0)) == [Stop((1, 1))]
    assert life.num_restarts == 1


def test_a_role_without_a_say_is_stopped_at_the_end() -> None:
    life = started(role("a"), role("b", primary=False))
    assert succeed(life, (0, 0)) == [Stop((1, 0))]
    assert fail(life, (1, 0), "SIGTERM") == [Finish(AppState.SUCCEEDED, "", None)]


@pytest.mark.parametrize("ok", [True, False])
def test_a_role_without_a_say_may_end_any_way(ok: bool) -> None:
    life = started(role("a"), role("b", primary=False))
    assert life.exited((1, 0), ok, "exit ?") == []
    assert succeed(life, (0, 0)) == [Finish(AppState.SUCCEEDED, "", None)]


def test_a_role_without_a_say_restarts_only_itself_and_to_its_own_limit() -> None:
    life = started(role("a"), role("b", retries=1, policy=APPLICATION, primary=False))
    assert fail(life, (1, 0)) == [Start((1, 0), 1)]
    assert fail(life, (1, 0)) == []
    assert life.phase((1, 0)) is Phase.FAILED
    assert succeed(life, (0, 0)) == [Finish(AppState.SUCCEEDED, "", None)]


def test_replica_restarts_the_replica() -> None:
    life = started(role("a", 2, 1, REPLICA))
    assert fail(life, (0, 0)) == [Start((0, 0), 1)]
    assert fail(life, (0, 1)) == [Start((0, 1), 1)]
    assert life.num_restarts == 2
    assert fail(life, (0, 0)) == [Stop((0, 1))]
    assert succeed(life, (0, 1)) == [Finish(AppState.FAILED, "a/0 failed: exit 1 after 2 attempts", (0, 0))]


def test_role_restarts_the_role_once_all_of_it_has_stopped() -> None:
    life = started(role("a", 3, 1, ROLE), role("b"))
    succeed(life, (0, 2))
    assert fail(life, (0, 0)) == [Stop((0, 1))]
    assert fail(life, (0, 1), "SIGTERM") == [Start((0, k), 1) for k in range(3)]
    assert life.num_restarts == 1
    assert life.phase((1, 0)) is Phase.RUNNING
    assert fail(life, (0, 2)) == [Stop((0, 0)), Stop((0, 1)), Stop((1, 0))]


def test_application_restarts_everything() -> None:
    life = started(role("a", 2, 1), role("b"))
    succeed(life, (1, 0))
    assert fail(life, (0, 0)) == [Stop((0, 1))]
    assert succeed(life, (0, 1)) == [Start((0, 0), 1), Start((0, 1), 1), Start((1, 0), 1)]
    assert life.num_restarts == 1


def test_an_application_restart_takes_in_a_role_restart() -> None:
    life = started(role("a", 2, 1, ROLE), role("b", 1, 1))
    assert fail(life, (0, 0)) == [Stop((0, 1))]
    assert fail(life, (1, 0)) == []  # a/1 is being stopped already
    assert succeed(life, (0, 1)) == [Start((0, 0), 1), Start((0, 1), 1), Start((1, 0), 1)]


def test_two_roles_restart_side_by_side() -> None:
    life = started(role("a", 2, 1, ROLE), role("b", 2, 1, ROLE))
    assert fail(life, (0, 0)) == [Stop((0, 1))]
    assert fail(life, (1, 0)) == [Stop((1, 1))]
    assert fail(life, (1, 1)) == [Start((1, 0), 1), Start((1, 1), 1)]
    assert fail(life, (0, 1)) == [Start((0, 0), 1), Start((0, 1), 1)]


@pytest.mark.parametrize(("lost", "state"), [(0, AppState.SUCCEEDED), (2, AppState.SUCCEEDED), (3, AppState.FAILED)])
def test_min_replicas_is_how_many_must_be_able_to_run(lost: int, state: AppState) -> None:
    life = started(role("a", 4, min_replicas=2))
    actions: list[Action] = []
    for k in range(lost):
        actions = fail(life, (0, k))
    for k in range(lost, 4):
        actions = succeed(life, (0, k))
    assert isinstance(actions[-1], Finish)
    assert actions[-1].state is state


def test_a_tolerated_loss_may_be_the_last_to_end() -> None:
    life = started(role("a", 2, min_replicas=1))
    succeed(life, (0, 0))
    assert fail(life, (0, 1)) == [Finish(AppState.SUCCEEDED, "", None)]


def test_a_stop_from_outside_is_the_verdict_unless_there_is_one() -> None:
    life = started(role("a", 2))
    assert life.stop(AppState.CANCELLED, "cancelled") == [Stop((0, 0)), Stop((0, 1))]
    assert life.stop(AppState.FAILED, "late") == []
    succeed(life, (0, 0))
    assert fail(life, (0, 1)) == [Finish(AppState.CANCELLED, "cancelled", None)]


def test_a_stop_during_a_restart_does_not_start_anything() -> None:
    life = started(role("a", 2, 5))
    fail(life, (0, 0))
    assert life.stop(AppState.CANCELLED, "cancelled") == []
    assert fail(life, (0, 1)) == [Finish(AppState.CANCELLED, "cancelled", None)]


def test_a_stop_when_nothing_runs_ends_at_once() -> None:
    assert Lifecycle([role()]).stop(AppState.CANCELLED, "early") == [Finish(AppState.CANCELLED, "early", None)]


# --- random walks --------------------------------------------------------------------------------------------------


class Walk:
    """Carries out what a Lifecycle says as a backend would, and checks every action against what went before."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self.roles = roles
        self.life = Lifecycle(roles)
        self.running: set[Key] = set()
        self.stopping: set[Key] = set()
        self.attempts: dict[Key, int] = {}
        self.ended: dict[Key, bool | None] = {}  # how the last attempt ended by itself; None if it was stopped
        self.finish: Finish | None = None
        self.take(self.life.start())

    def take(self, actions: Sequence[Action]) -> None:
        for action in actions:
            assert self.finish is None, "nothing comes after the end"
            if isinstance(action, Start):
                assert action.key not in self.running, "started twice at once"
                assert action.attempt == self.attempts.get(action.key, 0), "attempts are numbered without a gap"
                assert not self.life.ending, "nothing starts once the end is decided"
                self.attempts[action.key] = action.attempt + 1
                self.running.add(action.key)
                self.ended.pop(action.key, None)
            elif isinstance(action, Stop):
                assert action.key in self.running, "stopped without running"
                assert action.key not in self.stopping, "stopped twice"
                self.stopping.add(action.key)
            else:
                assert not self.running, "the end, and something runs"
                self.finish = action

    def end(self, key: Key, ok: bool) -> None:
        self.running.discard(key)
        self.ended[key] = None if key in self.stopping else ok
        self.stopping.discard(key)
        self.take(self.life.exited(key, ok, "exit 0" if ok else "exit 1"))

    def failures(self, r: int) -> int:
        return sum(self.ended.get((r, k)) is False for k in range(self.roles[r].num_replicas))

    def spare(self, r: int) -> int:
        least = self.roles[r].min_replicas
        return 0 if least is None else self.roles[r].num_replicas - least


counts = st.integers(1, 3)
some_roles = st.lists(
    st.builds(
        lambda n, least, retries, policy, primary: role(
            "x", n, retries, policy, min_replicas=None if least is None else min(least, n), primary=primary
        ),
        counts,
        st.none() | counts,
        st.integers(0, 3),
        st.sampled_from(RetryPolicy),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
).filter(lambda roles: any(r.primary for r in roles))


def walked(roles: Sequence[Role], data: st.DataObject, *, stops: bool) -> tuple[Walk, bool]:
    """Lets replicas end in any order and any way until the app has ended; the bool says if it was cancelled."""
    walk, cancelled = Walk(roles), False
    while walk.finish is None:
        assert walk.running, "nothing runs and the app has not ended"
        if stops and not walk.life.ending and data.draw(st.integers(0, 9)) == 0:
            cancelled = True
            walk.take(walk.life.stop(AppState.CANCELLED, "cancelled"))
        else:
            walk.end(data.draw(st.sampled_from(sorted(walk.running))), data.draw(st.booleans()))
    return walk, cancelled


@settings(max_examples=400, deadline=None)
@given(some_roles, st.data())
def test_no_walk_breaks_a_rule(roles: Sequence[Role], data: st.DataObject) -> None:
    walk, cancelled = walked(roles, data, stops=True)
    finish = walk.finish
    assert finish is not None
    whole = max((r.max_retries for r in roles if r.primary and r.retry_policy is APPLICATION), default=0)
    for (r, _), attempts in walk.attempts.items():
        own = 0 if roles[r].primary and roles[r].retry_policy is APPLICATION else roles[r].max_retries
        assert attempts <= 1 + own + whole
    assert (finish.state is AppState.CANCELLED) == cancelled
    if finish.state is AppState.SUCCEEDED:
        for r in (r for r, one in enumerate(roles) if one.primary):
            assert walk.failures(r) <= walk.spare(r)
            assert all(walk.ended[r, k] is not None for k in range(roles[r].num_replicas))
    elif finish.state is AppState.FAILED:
        assert finish.failed is not None
        assert roles[finish.failed[0]].primary
        assert walk.ended[finish.failed] is False
        assert walk.failures(finish.failed[0]) > walk.spare(finish.failed[0])
    else:
        assert finish.failed is None


@settings(max_examples=400, deadline=None)
@given(counts, st.integers(0, 4), st.sampled_from(RetryPolicy), st.data())
def test_a_failed_app_has_used_all_its_retries(n: int, retries: int, policy: RetryPolicy, data: st.DataObject) -> None:
    walk, _ = walked([role("a", n, retries, policy)], data, stops=False)
    assert walk.finish is not None
    if walk.finish.state is AppState.FAILED:
        assert walk.finish.failed is not None
        assert walk.attempts[walk.finish.failed] == retries + 1
    assert walk.life.num_restarts <= retries * (n if policy is REPLICA else 1)
    if policy is not REPLICA:
        assert set(walk.attempts.values()) == {walk.life.num_restarts + 1}
