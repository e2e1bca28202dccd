"""What is read from labels that anybody may have written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.schedulers.docker import labels, reconcile, states
from xrun.schedulers.docker.labels import Restarts, Verdict
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.serialize import to_dict
from xrun.specs.states import AppState

NAMES = [labels.APP_ID, labels.ROLE, labels.REPLICA, labels.RESTARTS, labels.VERDICT, labels.SPEC, labels.OPTIONS]
NAMES += [labels.SUBMITTED, labels.USER, labels.GPUS]
ODD = ["0:a", "-1:a", "9:z", "0", "1", "-3", "[0,0,0]", "[0,0]", "[1e9,0,0]", "[true,0,0]", "{}", "null", "NaN"]
ODD += ['["FAILED","x",[0,0],1.0]', '["FAILED","x",[7,7],1]', '["DONE","",null,0]', '["FAILED",1,"ab",0]', "a-bcdef"]
ODD += ["[" * 2000, json.dumps(to_dict(AppDef("a", [Role("a", entrypoint="x", num_replicas=2)])))]
ODD += ['{"max_runtime":"soon"}']
TEXTS = st.text(max_size=12) | st.sampled_from(ODD)


def row(own: dict[str, str], state: str = "running", status: str = "Up 1 second", **more: Any) -> dict[str, Any]:
    return {"Id": f"id{len(own)}", "Names": ["/n"], "State": state, "Status": status, "Labels": own, **more}


def replica(app_id: str = "a-bcdef", role: int = 0, k: int = 0, **more: str) -> dict[str, str]:
    return {labels.APP_ID: app_id, **labels.of_replica(role, "a", k, Restarts()), **more}


@settings(max_examples=400, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), TEXTS), max_size=4), st.sampled_from(list(states.STATES)))
def test_nothing_that_a_label_says_breaks_anything(rows: list[dict[str, str]], state: str) -> None:
    for app in labels.parse([row(own, state) for own in rows]).values():
        described = states.describe(app, None)
        assert described.status.state in AppState
        made = states.app_of(app)
        if app.containers:
            reconcile.plan(app, made.roles if made else [], {})


def test_a_damaged_container_leaves_the_others() -> None:
    found = labels.parse(
        [
            row({}),
            row({"com.docker.compose.project": "x"}),
            row(replica(k=1) | {labels.RESTARTS: "[1,2]"}),
            row(replica()),
            {"Id": "x", "Names": [], "State": "running", "Labels": replica(k=2)},
            {"Id": "x", "Names": None, "State": "running", "Labels": replica(k=3)},
            {"Id": "x", "Names": ["/x"], "State": "running", "Labels": None},
        ]
    )
    assert {app_id: [c.key for c in app.containers] for app_id, app in found.items()} == {"a-bcdef": [(0, 0)]}


def test_what_is_being_removed_has_no_say() -> None:
    assert labels.parse([row(replica(), state="removing")]) == {}


@pytest.mark.parametrize("status", ["Exited (0) 3 seconds ago", "Exited (137) About a minute ago"])
def test_exit_codes(status: str) -> None:
    (app,) = labels.parse([row(replica(), "exited", status)]).values()
    assert app.containers[0].exit_code in (0, 137)


def test_ports_and_verdict_come_back() -> None:
    ports = [{"PrivatePort": 80, "PublicPort": 4000, "Type": "tcp"}, {"PrivatePort": 81, "Type": "tcp"}]
    verdict = Verdict("FAILED", "a/0 failed: exit 3\n", (0, 0), 12.5)
    rows = [row(replica(), Ports=ports), row(labels.of_verdict("a-bcdef", verdict), "created")]
    (app,) = labels.parse(rows).values()
    assert app.containers[0].ports == {80: 4000}
    assert app.verdict == verdict


def test_an_app_is_one_once_what_was_submitted_is_there() -> None:
    others = [row(replica(k=1), "created"), row(replica(k=2), "created")]
    (half,) = labels.parse(others).values()
    assert not half.is_app
    (whole,) = labels.parse([*others, row(replica() | {labels.SPEC: "{}"}, "created")]).values()
    assert whole.is_app
    (lost_its_head,) = labels.parse([row(replica(k=1))]).values()
    assert lost_its_head.is_app
