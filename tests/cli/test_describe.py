"""``xrun describe``: a job as it was submitted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xrun.specs import AppDef, Resource, RetryPolicy, Role, from_dict, to_dict

from .conftest import xrun

APP = AppDef(
    "größe",
    [
        Role(
            "trainer",
            entrypoint="true",
            args=["a b", "1.0", "no", "x\ny", "'\"", "$HOME", "日本"],
            env={"A": "", "B": "null"},
            num_replicas=2,
            max_retries=1,
            retry_policy=RetryPolicy.REPLICA,
            resource=Resource(cpu=1.5, memMB=64, tags={"t": [1, None]}),
            metadata={"k": {"l": 1}},
            secrets={"TOKEN": "env:PRIVATE"},
        )
    ],
    {"owner": "me"},
)


@pytest.fixture
def handle() -> str:
    """A job that was submitted with all that is in APP."""
    job = {"app": to_dict(APP), "cfg": {"grace_period": 3}, "request_id": "r-1"}
    words = [sys.executable, "-m", "xrun", "run", "--wait", "--stdin"]
    env = {**os.environ, "PRIVATE": "hunter2"}
    done = subprocess.run(
        words, input=json.dumps(job), capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_yaml_and_json_give_the_job_back(handle: str) -> None:
    text, answer = xrun("describe", handle).stdout, json.loads(xrun("describe", "--json", handle).stdout)
    document = yaml.safe_load(text)

    assert from_dict(document["app"]) == from_dict(answer["app"]) == APP
    assert document["handle"] == answer["handle"] == handle
    assert answer["request_id"] == "r-1"
    assert answer["options"]["grace_period"] == 3
    assert answer["state"] == "SUCCEEDED"
    assert len(answer["spec_hash"]) > 8
    assert answer["user"]
    assert answer["submitted"] > 1.7e9
    assert document.keys() == answer.keys() - {"version"}
    assert "größe" in text  # a person reads it


def test_a_secret_is_a_reference(handle: str) -> None:
    for words in (["describe", handle], ["describe", "--json", handle]):
        said = xrun(*words).stdout
        assert "env:PRIVATE" in said
        assert "hunter2" not in said


def test_what_is_described_can_be_submitted_again(handle: str) -> None:
    app = json.loads(xrun("describe", "--json", handle).stdout)["app"]
    words = [sys.executable, "-m", "xrun", "render", "--stdin", "--json"]
    job = json.dumps({"app": app, "cfg": {"grace_period": 3}, "request_id": "r-1"})
    done = subprocess.run(words, input=job, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["app_id"] == handle.rpartition("/")[2]


def test_a_job_of_another_session_keeps_its_handle(tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text("[profiles.night.run]\n")
    handle = xrun("--profile", "night", "--wait", "utils.sh", "true", cwd=tmp_path).stdout.strip()
    assert handle.startswith("local://night/")
    asked = handle.replace("night", "default")
    assert json.loads(xrun("describe", "--json", asked).stdout)["handle"] == handle


@pytest.mark.parametrize(
    ("handle", "code", "text"),
    [
        ("local://default/none-aaaaa", 5, "no such job"),
        ("none-aaaaa", 2, "is not a handle"),
        ("slrm://default/x", 2, "unknown scheduler"),
        ("", 2, "is not a handle"),
    ],
)
def test_what_is_not_there(handle: str, code: int, text: str) -> None:
    done = xrun("describe", handle)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_damaged_record_is_described_as_far_as_it_goes(handle: str, xrun_home: Path) -> None:
    record = xrun_home / "local" / "apps" / handle.rpartition("/")[2] / "record"
    lines = record.read_bytes().split(b"\n")
    lines[0] = lines[0].replace(b'"roles"', b'"rolls"')
    record.write_bytes(b"\n".join(lines))
    done = xrun("describe", "--json", handle)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["app"] is None
    assert "does not keep the job" in done.stderr
