"""The number of an attempt, inside the replica and in its status, whatever made it end."""

from __future__ import annotations

import pytest

from tests.schedulers.kubernetes.jobs import Team, ends, evict, reaches, run, sh, status
from tests.systems.kubernetes_cluster import group, until
from xrun.runner import Runner
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.states import AppState

pytestmark = [group("job"), pytest.mark.timeout(240)]

UNTIL_LAST = """
trap 'exit 143' TERM
echo "attempt $XRUN_ATTEMPT"
[ $XRUN_ATTEMPT = LAST ] && exit 0
while [ ! -e /tmp/fail ]; do sleep 0.1; done
exit 4
"""


def role(last: int, name: str = "main", **fields: object) -> Role:
    """One whose attempt of this number is the last; those before wait for their end."""
    return sh(UNTIL_LAST.replace("LAST", str(last)), name, **fields)


def living(team: Team, handle: str, name: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in team.pods(handle)
        if pod["metadata"]["labels"]["xrun.dev/role"] == name
        and not pod["metadata"].get("deletionTimestamp")
        and pod["status"]["phase"] == "Running"
    ]


def end(team: Team, how: str, pod: str) -> None:
    if how == "evicted":
        evict(team, pod)
    elif how == "deleted":
        team.kubectl("delete", "pod", pod)
    else:
        team.kubectl("exec", pod, "--container=main", "--", "touch", "/tmp/fail")


@pytest.mark.parametrize(
    ("kind", "retries", "hows"),
    [
        ("job", 0, ["evicted", "evicted"]),
        ("job", 1, ["evicted", "failed"]),
        ("job", 2, ["deleted", "failed"]),
        ("job", 1, ["deleted", "evicted"]),
        ("jobset", 0, ["evicted", "evicted"]),
        ("jobset", 1, ["failed", "evicted"]),
    ],
)
def test_each_end_is_an_attempt(runner: Runner, team: Team, kind: str, retries: int, hows: list[str]) -> None:
    handle = run(
        runner, role(len(hows), max_retries=retries, retry_policy=RetryPolicy.REPLICA), kind=kind, grace_period=5
    )
    for n, how in enumerate(hows):
        reaches(runner, handle, f"attempt {n}")
        assert status(runner, handle).roles[0].replicas[0].attempt == n
        end(team, how, living(team, handle, "main")[0])
    found = ends(runner, handle, AppState.SUCCEEDED, 120)
    assert found.roles[0].replicas[0].attempt == len(hows)
    assert found.num_restarts == len(hows)


@pytest.mark.parametrize("how", ["evicted", "deleted"])
def test_a_program_that_exits_with_0_has_done_its_work(runner: Runner, team: Team, how: str) -> None:
    """Whoever stopped it: Kubernetes asks for nothing else. One that was stopped by a cancel is cancelled."""
    role = sh("trap 'exit 0' TERM; echo ready; sleep 300 & wait", num_replicas=2)
    handle = run(runner, role)
    for k in (0, 1):
        reaches(runner, handle, "ready", k=k)
    end(team, how, next(pod for pod in living(team, handle, "main") if "-0-" in pod))
    until(lambda: status(runner, handle).roles[0].replicas[0].state is AppState.SUCCEEDED)
    assert status(runner, handle).state is AppState.RUNNING
    runner.cancel(handle)
    found = ends(runner, handle, AppState.CANCELLED)
    assert found.roles[0].replicas[1].state is AppState.CANCELLED


@pytest.mark.parametrize("how", ["evicted", "deleted"])
def test_a_role_that_is_not_primary_and_is_taken_away(runner: Runner, team: Team, how: str) -> None:
    main = sh("while [ ! -e /tmp/fail ]; do sleep 0.1; done")
    side = role(1, "side", primary=False)
    handle = run(runner, main, side)
    reaches(runner, handle, "attempt 0", role="side")
    end(team, how, living(team, handle, "side")[0])
    until(lambda: status(runner, handle).roles[1].replicas[0].state is AppState.SUCCEEDED)
    assert status(runner, handle).roles[1].replicas[0].attempt == 1
    assert status(runner, handle).num_restarts == 1
    end(team, "failed", living(team, handle, "main")[0])
    ends(runner, handle, AppState.SUCCEEDED)
