"""What is said of a job: for a person, as data, as an exception."""

from __future__ import annotations

import json

import pytest

from xrun.errors import JobCancelled, JobFailed
from xrun.specs.states import AppState, ReplicaState, is_started, is_terminal
from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus

STATUS = AppStatus(
    AppState.FAILED,
    num_restarts=2,
    msg="trainer/1: exit 3",
    roles=[
        RoleStatus(
            "trainer",
            [
                ReplicaStatus(0, AppState.CANCELLED, "trainer", signal="SIGTERM"),
                ReplicaStatus(1, AppState.FAILED, "trainer", "node7", attempt=2, exit_code=3, error="ValueError: no"),
            ],
        ),
        RoleStatus("server", [ReplicaStatus(0, AppState.SUCCEEDED, "server", exit_code=0)]),
        RoleStatus("idle"),
    ],
    native_id="1234",
    submitted=10.5,
    ended=20.0,
)


def test_format() -> None:
    assert STATUS.format().splitlines() == [
        "state: FAILED (trainer/1: exit 3)",
        "restarts: 2",
        "  trainer/0: CANCELLED SIGTERM",
        "  trainer/1: FAILED exit 3, attempt 2, ValueError: no",
        "  server/0: SUCCEEDED exit 0",
    ]


def test_format_of_some_roles() -> None:
    assert STATUS.format(["server"]).splitlines()[2:] == ["  server/0: SUCCEEDED exit 0"]
    assert STATUS.format([]).splitlines()[2:] == []
    assert AppStatus(AppState.PENDING).format() == "state: PENDING"
    running = AppStatus(AppState.RUNNING, roles=[RoleStatus("r", [ReplicaStatus(0, AppState.RUNNING, "r")])])
    assert running.format() == "state: RUNNING\n  r/0: RUNNING"


def test_to_json() -> None:
    plain = STATUS.to_json()

    assert json.loads(json.dumps(plain)) == plain
    assert {key: plain[key] for key in plain if key != "roles"} == {
        "state": "FAILED",
        "num_restarts": 2,
        "msg": "trainer/1: exit 3",
        "structured_error_msg": NONE,
        "ui_url": None,
        "native_id": "1234",
        "submitted": 10.5,
        "ended": 20.0,
    }
    assert [role["role"] for role in plain["roles"]] == ["trainer", "server", "idle"]
    assert plain["roles"][0]["replicas"][1] == {
        "id": 1,
        "state": "FAILED",
        "role": "trainer",
        "hostname": "node7",
        "structured_error_msg": NONE,
        "attempt": 2,
        "exit_code": 3,
        "signal": "",
        "error": "ValueError: no",
        "native_id": "",
        "started": 0.0,
        "ended": 0.0,
        "endpoints": {},
    }


def test_to_json_of_some_roles() -> None:
    assert [role["role"] for role in STATUS.to_json(["server", "nobody"])["roles"]] == ["server"]


def test_raise_for_status() -> None:
    AppStatus(AppState.SUCCEEDED).raise_for_status()
    with pytest.raises(JobFailed, match=r"the job ended FAILED: trainer/1: exit 3") as failed:
        STATUS.raise_for_status()
    with pytest.raises(JobCancelled, match=r"the job ended CANCELLED$") as cancelled:
        AppStatus(AppState.CANCELLED).raise_for_status()

    assert failed.value.status is STATUS
    assert (failed.value.exit_code, cancelled.value.exit_code) == (1, 7)


@pytest.mark.parametrize("state", [s for s in AppState if s not in (AppState.SUCCEEDED, AppState.CANCELLED)])
def test_every_other_state_raises(state: AppState) -> None:
    with pytest.raises(JobFailed, match=state.name):
        AppStatus(state).raise_for_status()


@pytest.mark.parametrize(
    ("exit_code", "signal", "outcome"),
    [(None, "", ""), (0, "", "exit 0"), (3, "", "exit 3"), (None, "SIGKILL", "SIGKILL")],
)
def test_outcome(exit_code: int | None, signal: str, outcome: str) -> None:
    assert ReplicaStatus(0, AppState.FAILED, "r", exit_code=exit_code, signal=signal).outcome == outcome


def test_the_numbers_are_torchxs() -> None:
    names = ["UNSUBMITTED", "SUBMITTED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "UNKNOWN"]

    assert [(state.name, state.value) for state in AppState] == list(zip(names, range(8), strict=True))
    assert ReplicaState is AppState
    assert f"{AppState.RUNNING}" == str(AppState.RUNNING) == "RUNNING"


def test_terminal_and_started() -> None:
    terminal = {AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED}

    assert {state for state in AppState if is_terminal(state)} == terminal
    assert {state for state in AppState if is_started(state)} == {*terminal, AppState.RUNNING}
    assert {state for state in AppState if AppStatus(state).is_terminal()} == terminal
