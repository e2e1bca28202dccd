"""run --stdin: one JSON job, for programs in any language."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from xrun.runner.job import Job
from xrun.specs import AppDef, Role, to_dict
from xrun.specs.schema import schema_of

APP = to_dict(AppDef("mine", [Role("r", entrypoint="echo", args=["from json"])]))


def xrun(text: str | bytes, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(
        [sys.executable, "-m", "xrun", *words], input=data, capture_output=True, timeout=60, cwd=cwd, check=False
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    ("job", "out"),
    [
        ({"component": "utils.echo"}, "hello world\n"),
        ({"component": "utils.echo", "args": {"msg": "a\nb ${x} ü"}}, "a\nb ${x} ü\n"),
        ({"component": "utils.echo", "args": {"msg": "hi", "num_replicas": 1}, "scheduler": "memory"}, "hi\n"),
        ({"component": "utils.echo", "words": ["--msg", "by words"], "version": 1}, "by words\n"),
        ({"app": APP, "scheduler": "local", "cfg": {"grace_period": 1}}, "from json\n"),
    ],
)
def test_a_job(job: dict[str, Any], out: str) -> None:
    jsonschema.validate(job, schema_of(Job))
    done = xrun(json.dumps(job), "run", "--stdin")
    assert (done.returncode, done.stdout) == (0, out), done.stderr


def test_it_goes_with_what_says_how_to_stay() -> None:
    job = json.dumps({"component": "utils.sh", "args": {"args": ["exit 3"]}, "request_id": "ci-1"})
    handle = xrun(job, "run", "--stdin", "--detach").stdout.strip()
    assert xrun(job, "--stdin", "--detach").stdout.strip() == handle, "the same request gives the same job"
    done = xrun(job, "run", "--stdin", "--wait", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "FAILED"
    assert "exit 3" in xrun(job, "render", "--stdin").stdout


def test_its_profile(tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text('[profiles.prod.run]\nscheduler = "local"\n')
    job = {"component": "utils.echo", "profile": "prod"}
    done = xrun(json.dumps(job), "run", "--stdin", "--detach", cwd=tmp_path)
    assert done.stdout.startswith("local://prod/")
    done = xrun(json.dumps({**job, "profile": "prd"}), "run", "--stdin", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean prod?" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "job is not JSON"),
        ("{", "job is not JSON"),
        ("[" * 100_000, "job is nested too deeply"),
        (b'{"component": "\xff"}', "not UTF-8 at byte 15"),
        ("[]", "job is a list, it must be a mapping"),
        ("null", "job is null"),
        ("{}", "job needs component or app"),
        ('{"componnet": "utils.echo"}', "job has an unknown field 'componnet'; did you mean component?"),
        ('{"component": 3}', "job.component is a whole number (3), it must be a string"),
        ('{"component": "utils.echo", "version": 2}', "job.version is 2, it must be 1"),
        ('{"component": "utils.echo", "version": true}', "job.version is True, it must be 1"),
        ('{"component": "utils.echo", "args": []}', "job.args is a list, it must be a mapping"),
        ('{"component": "utils.echo", "args": {"msg": 3}}', "msg"),
        ('{"component": "utils.echo", "args": {"mgs": "a"}}', "unknown option 'mgs'"),
        ('{"component": "utils.echo", "args": {"msg": "a"}, "words": ["b"]}', "args and words"),
        ('{"component": "utils.echo", "cfg": {"grace_perid": 3}}', "unknown option 'grace_perid'"),
        ('{"component": "utils.echo", "cfg": {"grace_period": [3]}}', "grace_period"),
        ('{"component": "utils.echo", "request_id": ""}', "request_id is empty"),
        ('{"component": "utils.echo", "app": {"name": "a"}}', "component or app, one of them"),
        ('{"app": {"name": "a"}, "words": ["b"]}', "takes no arguments"),
        ('{"app": {"name": "a", "rolls": []}}', "job.app has an unknown field 'rolls'; did you mean roles?"),
        ('{"component": "utils.ehco"}', "unknown component 'utils.ehco'"),
        ('{"component": "\\ud800.x"}', "unknown component"),
    ],
)
def test_a_wrong_job_is_one_line(text: str | bytes, message: str) -> None:
    done = xrun(text, "run", "--stdin")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert message in done.stderr


def test_a_job_that_is_refused_is_exit_3() -> None:
    done = xrun('{"app": {"name": "a", "roles": []}}', "run", "--stdin")
    assert done.returncode == 3
    assert "XR002" in done.stderr
    done = xrun('{"component": "utils.echo", "args": {"msg": "\\ud800"}}', "run", "--stdin")
    assert done.returncode == 3
    assert "XR023" in done.stderr


@pytest.mark.parametrize("words", [["utils.echo"], ["-s", "local"], ["-cfg", "gpus=1"], ["--workspace", ""]])
def test_it_takes_nothing_beside_the_json(words: list[str]) -> None:
    done = xrun('{"component": "utils.echo"}', "run", "--stdin", *words)
    assert done.returncode == 2
    assert "from the JSON alone" in done.stderr


def test_a_closed_stdin() -> None:
    done = subprocess.run(
        f"{sys.executable} -m xrun run --stdin <&-", shell=True, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
