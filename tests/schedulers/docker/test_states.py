"""What containers say, in the contract's words: without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.schedulers.docker.jobs import sh
from xrun.schedulers.docker import labels, request, states
from xrun.schedulers.docker.containers import State
from xrun.schedulers.docker.labels import Found, Restarts, Seen, Verdict
from xrun.schedulers.docker.request import DockerOptions
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.states import AppState

ENDED = Verdict("FAILED", "main/0 failed: exit 3", (0, 0), 50.0)


def found(*words: str, verdict: Verdict | None = None, role: Role | None = None, **options: Any) -> Found:
    """An app whose replicas of one role are as the engine's words say, as ``exited 3``."""
    made = role or sh("x", num_replicas=len(words))
    asked = request.build(AppDef("job", [made]), DockerOptions(**options), "job-abcde", "docker://default/job-abcde")
    seen = []
    for k, text in enumerate(words):
        word, _, code = text.partition(" ")
        own = {**request.app_labels(asked), **labels.of_replica(0, made.name, k, Restarts())}
        if not k:
            own |= {**request.head_labels(asked), labels.SUBMITTED: "1.5"}
        ports = {80: 49153} if word == "running" and options.get("publish") else {}
        seen.append(Seen(str(k) * 64, "x", 0, k, Restarts(), word, int(code) if code else None, own, ports))
    return Found("job-abcde", seen, verdict)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("created", AppState.PENDING),
        ("running", AppState.RUNNING),
        ("paused", AppState.RUNNING),
        ("exited 0", AppState.SUCCEEDED),
        ("exited 3", AppState.FAILED),
        ("dead", AppState.FAILED),
        ("new-in-a-later-engine", AppState.UNKNOWN),
    ],
)
def test_a_single_replica_is_the_app(word: str, state: AppState) -> None:
    there = states.describe(found(word), None)
    assert there.status.state == state
    assert there.status.roles[0].replicas[0].state == state
    assert there.status.submitted == there.submitted == 1.5
    assert there.app == AppDef("job", [sh("x")])


@pytest.mark.parametrize(("words", "state"), [("created created", "PENDING"), ("running created", "RUNNING")])
def test_several_replicas_go_on_until_their_end_is_decided(words: str, state: str) -> None:
    assert states.describe(found(*words.split()), None).status.state.name == state
    assert states.describe(found("exited 0", "exited 0"), None).status.state is AppState.RUNNING


def test_one_replica_with_retries_goes_on_after_a_failure() -> None:
    again = found("exited 3", role=sh("x", max_retries=1))
    assert states.describe(again, None).status.state is AppState.RUNNING


def test_an_end_that_is_decided_is_one_once_nothing_runs() -> None:
    assert states.describe(found("exited 3", "running", verdict=ENDED), None).status.state is AppState.RUNNING
    there = states.describe(found("exited 3", "exited 143", verdict=ENDED), None).status
    assert (there.state, there.msg) == (AppState.FAILED, "main/0 failed: exit 3")


def test_who_was_stopped_is_cancelled_and_who_ended_before_is_not() -> None:
    looks = {
        "0": State(3, "", 1.0, 49.0, "", 1.0, False),
        "1": State(None, "SIGTERM", 1.0, 51.0, "", 1.0, False),
        "2": State(0, "", 1.0, 40.0, "", 1.0, False),
        "3": State(None, "", 0.0, 0.0, "", 1.0, False),
    }
    app = found("exited 3", "exited 143", "exited 0", "created", verdict=ENDED)
    status = states.describe(app, lambda c: (looks[c.id[0]], "boom" if c.id[0] == "0" else "", "")).status
    names = [k.state.name for k in status.roles[0].replicas]
    assert names == ["FAILED", "CANCELLED", "SUCCEEDED", "CANCELLED"]
    assert status.msg == "main/0 failed: exit 3: boom"
    assert status.ended == 51.0
    assert status.roles[0].replicas[1].signal == "SIGTERM"


def test_what_could_not_be_started_has_failed() -> None:
    never = State(127, "", 0.0, 5.0, "can't start sh: not found", 1.0, False)
    decided = ENDED._replace(reason="main/0 failed: exit 127")
    there = states.describe(found("created", verdict=decided), lambda _: (never, never.note, "")).status
    assert there.roles[0].replicas[0].state is AppState.FAILED
    assert there.msg == "main/0 failed: exit 127: can't start sh: not found"


def test_a_container_that_is_gone_meanwhile_keeps_what_the_list_said() -> None:
    there = states.describe(found("exited 3"), lambda _: None).status
    assert (there.state, there.msg) == (AppState.FAILED, "main/0 failed: exit 3")


def test_a_verdict_on_a_replica_that_there_is_not() -> None:
    odd = ENDED._replace(failed=(7, 9))
    assert states.describe(found("exited 3", verdict=odd), None).status.msg == ENDED.reason


def test_published_ports_are_told_while_it_runs() -> None:
    server = sh("x", port_map={"http": 80, "metrics": 9090})
    running, ended = (found(state, role=server, publish=True) for state in ("running", "exited 0"))
    assert states.describe(running, None, "box").status.roles[0].replicas[0].endpoints == {"http": "box:49153"}
    assert states.describe(ended, None).status.roles[0].replicas[0].endpoints == {}
