"""``xrun check``: all problems at once, on one scheduler or several, offline or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import xrun

CODE = """
from xrun.specs import AppDef, BindMount, Resource, Role

def app(**fields) -> AppDef:
    return AppDef("a", [Role("r", **{"entrypoint": "true", **fields})])

def wrong() -> AppDef:
    return app(entrypoint="", num_replicas=0, env={"XRUN_X": "1"}, args=["${replica_idd}"])

def macro() -> AppDef:
    return app(args=["${replica_idd}"])

def pictured() -> AppDef:
    return app(image="img")

def mounted() -> AppDef:
    return app(mounts=[BindMount("/a", "/b"), BindMount("/c", "/d")], resource=Resource(gpu=1))

def gpus() -> AppDef:
    return app(resource=Resource(gpu=2), num_replicas=2)

def crowd() -> AppDef:
    return app(num_replicas=20000)

def lacking() -> AppDef:
    return app(entrypoint="nosuchprogram", secrets={"A": "env:NOT_SET_HERE", "B": "file:/no/such"})

def beside() -> AppDef:
    return app(entrypoint="bin/tool")

def of_its_path() -> AppDef:
    return app(entrypoint="tool", env={"PATH": "bin"})

def fine() -> AppDef:
    return app()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with components."""
    (tmp_path / "jobs.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(*words: str, code: int) -> list[list[str]]:
    done = xrun("check", *words)
    assert done.returncode == code, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_every_problem_is_a_line_with_its_code_field_and_fix() -> None:
    found = rows("jobs.py:wrong", code=3)

    assert [row[:3] for row in found] == [
        ["error", "XR006", "roles[0].entrypoint"],
        ["warning", "XR027", "roles[0].args[0]"],
        ["error", "XR012", "roles[0].env.XRUN_X"],
        ["error", "XR007", "roles[0].num_replicas"],
    ]
    assert all(len(row) == 5 and row[3] and row[4] for row in found)


def test_warnings_are_said_and_exit_0() -> None:
    assert [row[:2] for row in rows("jobs.py:macro", code=0)] == [["warning", "XR027"]]
    assert [row[:3] for row in rows("jobs.py:pictured", code=0)] == [["warning", "XR049", "roles[0].image"]]


def test_nothing_wrong_is_no_line_and_the_rest_is_said_on_stderr() -> None:
    done = xrun("check", "jobs.py:fine")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "xrun: on local: nothing wrong; the system was not asked, --server does\n"


def test_what_the_scheduler_refuses_is_found_too() -> None:
    assert [row[:3] for row in rows("jobs.py:mounted", code=3)] == [
        ["error", "XR044", "roles[0].mounts[0]"],
        ["error", "XR044", "roles[0].mounts[1]"],
    ]
    # only building the request can tell
    assert [row[1] for row in rows("jobs.py:crowd", code=3)] == ["XR052"]


def test_several_schedulers_a_problem_of_several_once() -> None:
    found = rows("-s", "local", "-s", "memory", "jobs.py:gpus", code=3)
    assert [row[:3] for row in found] == [["memory", "error", "XR047"]]

    shared = rows("-s", "local", "-s", "memory", "-s", "local_cwd", "jobs.py:macro", code=0)
    assert [row[:3] for row in shared] == [["local,memory", "warning", "XR027"]]


def test_an_option_of_another_scheduler_is_a_warning() -> None:
    assert [row[:3] for row in rows("-s", "memory", "-cfg", "gpus=1", "jobs.py:fine", code=0)] == [
        ["warning", "XR049", "options"]
    ]


@pytest.mark.parametrize(
    ("component", "codes"),
    [
        ("jobs.py:fine", []),
        ("jobs.py:gpus", ["XR103"]),
        ("jobs.py:lacking", ["XR054", "XR053", "XR053"]),
        ("jobs.py:beside", ["XR054"]),
        ("jobs.py:of_its_path", ["XR054"]),
    ],
)
def test_server_says_what_would_fail_here(component: str, codes: list[str]) -> None:
    assert rows(component, code=0) == []
    found = rows("--server", "-cfg", "gpus=0", component, code=3 if codes else 0)
    assert [row[1] for row in found] == codes


@pytest.mark.parametrize("component", ["jobs.py:beside", "jobs.py:of_its_path"])
@pytest.mark.parametrize("scheduler", ["local", "memory"])
def test_server_looks_for_programs_where_the_job_would(component: str, scheduler: str, folder: Path) -> None:
    (folder / "bin").mkdir()
    tool = folder / "bin" / "tool"
    tool.write_text("#!/bin/sh\n")
    denied = rows("--server", "-s", scheduler, component, code=3)
    assert [row[1] for row in denied] == ["XR054"]

    tool.chmod(0o755)
    assert rows("--server", "-s", scheduler, component, code=0) == []
    ran = xrun("-s", scheduler, component)
    assert ran.returncode == 0, ran.stderr  # what check said is true


def test_server_names_a_missing_script_and_its_near_miss(folder: Path) -> None:
    (folder / "train.py").write_text("")
    (row,) = rows("--server", "utils.python", "--script", "trian.py", code=3)
    assert row[1] == "XR051"
    assert "train.py" in row[4]
    assert rows("--server", "utils.python", "--script", "train.py", code=0) == []


def test_server_sees_a_home_that_is_a_file(folder: Path) -> None:
    (folder / "file").write_text("")
    done = xrun("check", "--server", "jobs.py:fine", env={"XRUN_HOME": str(folder / "file" / "home")})
    assert done.returncode == 3
    assert "XR102" in done.stdout


def test_server_leaves_no_trace(folder: Path, xrun_home: Path) -> None:
    rows("--server", "jobs.py:fine", code=0)
    assert not (xrun_home / "local" / "apps").exists()


def test_server_knows_request_ids() -> None:
    assert xrun("--detach", "--request-id", "ci-1", "jobs.py:fine").returncode == 0
    assert rows("--server", "--request-id", "ci-1", "jobs.py:fine", code=0) == []
    (row,) = rows("--server", "--request-id", "ci-1", "-cfg", "grace_period=3", "jobs.py:fine", code=3)
    assert row[:3] == ["error", "XR080", "request_id"]
    assert rows("--request-id", "ci-1", "-cfg", "grace_period=3", "jobs.py:fine", code=0) == []


def test_a_workspace_is_checked(folder: Path) -> None:
    assert [row[1] for row in rows("-s", "memory", "--workspace", ".", "jobs.py:fine", code=3)] == ["XR048"]
    assert [row[1] for row in rows("--server", "--workspace", "nowhere", "jobs.py:fine", code=3)] == ["XR050"]


def test_a_whole_job_from_stdin(folder: Path) -> None:
    job = {"app": {"name": "a", "roles": [{"name": "r", "entrypoint": "true", "num_replicas": 0}]}}
    words = [sys.executable, "-m", "xrun", "check", "--stdin"]
    done = subprocess.run(words, input=json.dumps(job), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "XR007" in done.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["utils.ehco"], "utils.echo"),
        (["utils.echo", "--mgs", "x"], "--msg"),
        (["-cfg", "grace_perid=3", "utils.echo"], "grace_period"),
        (["-s", "slrm", "utils.echo"], "unknown scheduler 'slrm'"),
        (["-s", "local", "-s", "slrm", "utils.echo"], "unknown scheduler 'slrm'"),
        ([], "no component"),
        (["--nonsense", "utils.echo"], "--nonsense"),
    ],
)
def test_what_makes_no_sense_is_no_finding(words: list[str], text: str) -> None:
    done = xrun("check", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert text in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_of_a_component() -> None:
    assert "--msg" in xrun("check", "utils.echo", "--help").stdout


def test_the_configured_scheduler_is_checked() -> None:
    done = xrun("check", "--json", "jobs.py:gpus", env={"XRUN_SCHEDULER": "memory"})
    assert done.returncode == 3
    assert json.loads(done.stdout)["checks"][0]["scheduler"] == "memory"


def test_nobody_reads_the_answer() -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "xrun", "check", "jobs.py:wrong"]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(write)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
