"""Containers that are started anew in their pod: their logs, followed and read later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team, ends, meanwhile, reaches, run, sh
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import BUSYBOX, group
from xrun.errors import BackendError
from xrun.runner import Runner
from xrun.specs.states import AppState

pytestmark = [group("job"), pytest.mark.timeout(240)]

LINES = 30
HELPS = f"""
n=$(cat /count/n 2>/dev/null || echo 0); echo $((n+1)) >/count/n
i=0; while [ $i -lt {LINES} ]; do echo "helper $n line $i"; i=$((i+1)); sleep 0.05; done
[ $n = 2 ] && touch /count/enough
exit 1
"""
WAITS = "until [ -e /count/enough ]; do sleep 0.1; done; sleep 1; echo end"


def overlay(script: str) -> dict[str, Any]:
    """A container beside the program's that begins first and is started anew whenever it ends."""
    helper = {
        "name": "helper",
        "image": BUSYBOX,
        "restartPolicy": "Always",
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "count", "mountPath": "/count"}],
    }
    main = {"name": "main", "volumeMounts": helper["volumeMounts"]}
    volumes = [{"name": "count", "emptyDir": {}}]
    return {"kubernetes": {"spec": {"initContainers": [helper], "containers": [main], "volumes": volumes}}}


def lives(n: int) -> list[str]:
    return [f"helper {n} line {i}\n" for i in range(LINES)]


@pytest.mark.parametrize("outage", [False, True], ids=["", "outage"])
def test_nothing_is_lost_or_doubled(runner: Runner, team: Team, outage: bool) -> None:
    handle = run(runner, sh(WAITS, metadata=overlay(HELPS)))
    reaches(runner, handle, "helper 0 line 3")
    log = meanwhile(lambda: list(runner.log_lines(handle, "main", 0, should_tail=True)))
    reaches(runner, handle, "helper 1 line 3")
    so_far = list(runner.log_lines(handle, "main", 0))
    assert so_far == [*lives(0), *lives(1)[: len(so_far) - LINES]]
    if outage:
        cluster.restart(team.system, "api-server")
    ends(runner, handle, AppState.SUCCEEDED)
    # started anew at once, after ten seconds, and then after twenty
    assert log.result(60) == [*lives(0), *lives(1), *lives(2), "end\n"]
    # the kubelet may have removed all but the last
    later = list(runner.log_lines(handle, "main", 0))
    assert later in ([*lives(1), *lives(2), "end\n"], [*lives(2), "end\n"])


def test_one_that_never_ends_is_read_to_its_end(runner: Runner, team: Team) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.1; done"
    handle = run(runner, sh("sleep 2; echo end", metadata=overlay(script)), grace_period=5)
    lines = list(runner.log_lines(handle, "main", 0, should_tail=True))
    assert sorted(lines) == ["bye\n", "end\n", "hello\n"]
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main", 0)) == ["hello\n", "end\n", "bye\n"]


def test_programs_that_are_started_anew_in_their_pod_are_refused(runner: Runner, team: Team) -> None:
    with pytest.raises(BackendError, match="restartPolicy") as refusal:
        run(runner, sh("exit 1", metadata={"kubernetes": {"spec": {"restartPolicy": "OnFailure"}}}))
    assert "\n" not in str(refusal.value)
