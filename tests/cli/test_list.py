"""list: what the history knows, and what the systems say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.helpers import install
from xrun.cli.answers import ListAnswer
from xrun.runner import get_runner
from xrun.runner.gitinfo import GitInfo
from xrun.runner.recorder import submission
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.specs import AppDef, Role
from xrun.specs.schema import schema_of

from .conftest import xrun
from .terminals import on_terminal

FAR = """
import os
from xrun.errors import BackendUnavailable
from xrun.schedulers.local.scheduler import LocalScheduler

def create(session="default", **_):
    return Far(session)

class Far(LocalScheduler):
    name = "far"
    attaches = False

    def describe_many(self, app_ids):
        if os.path.exists(os.environ["FAR_ASKED"] + ".down"):
            raise BackendUnavailable("no route to far")
        with open(os.environ["FAR_ASKED"], "a") as file:
            print(len(app_ids), file=file)
        return super().describe_many(app_ids)

    def list_ours(self, wanted):
        return []
"""


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scheduler of a plugin; notes in a file how many jobs it is asked for, and is down if there is one beside it."""
    install(tmp_path / "site", "far", "[xrun.schedulers]\nfar = far_scheduler:create\n", far_scheduler=FAR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("FAR_ASKED", str(tmp_path / "asked"))
    return tmp_path / "asked"


def apps(*words: str) -> list[dict[str, Any]]:
    done = xrun("list", "--json", *words)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    jsonschema.validate(answer, schema_of(ListAnswer))
    found: list[dict[str, Any]] = answer["apps"]
    return found


def submitted(*words: str) -> str:
    done = xrun(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def recorded(**values: Any) -> None:
    """Puts a job that no system knows into the history."""
    with get_runner() as runner:
        info = runner.dryrun(AppDef("old", [Role("r", entrypoint="true")]))
        job = submission(info, values.get("handle", "local://default/old-aaaaa"), GitInfo())
        runner.history.record(job._replace(**values), new=True)


def test_ended_and_running_jobs() -> None:
    assert xrun("utils.sh", "--", "exit 3").returncode == 1
    live = submitted("--detach", "utils.sh", "--", "exec sleep 300")
    try:
        done = xrun("list")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert [(line[0] == live, line[1], line[4]) for line in lines] == [
            (True, "RUNNING", "sh"),
            (False, "FAILED", "sh"),
        ]
        assert [len(line) for line in lines] == [6, 6]
        found = apps()
        assert [app["component"] for app in found] == ["utils.sh", "utils.sh"]
        assert found[0]["ended"] == 0 < found[1]["ended"]
        assert [app["handle"] for app in apps("--state", "running")] == [live]
        assert [app["state"] for app in apps("--state", "FAILED", "--state", "CANCELLED")] == ["FAILED"]
    finally:
        assert xrun("cancel", live).returncode == 0
    assert [app["state"] for app in apps()] == ["CANCELLED", "FAILED"]


def test_a_detached_job_gets_its_verdict_from_the_first_list_that_sees_it(far: Path) -> None:
    handle = submitted("-s", "far", "utils.sh", "--", "exit 3")
    for _ in LocalScheduler().watch([handle.rpartition("/")[2]]):
        pass  # to its end, of which the history hears nothing
    far.unlink(missing_ok=True)
    assert [app["state"] for app in apps()] == ["FAILED"]
    assert far.read_text() == "1\n"
    assert [app["state"] for app in apps()] == ["FAILED"]
    assert far.read_text() == "1\n", "what has a verdict is not asked for"


def test_each_system_is_asked_once(far: Path) -> None:
    handles = {submitted("-s", "far", "utils.sh", "--", "exec sleep 300") for _ in range(3)}
    try:
        far.unlink(missing_ok=True)
        found = apps("-s", "far")
        assert {app["handle"] for app in found} == handles
        assert {app["state"] for app in found} <= {"PENDING", "RUNNING"}
        assert far.read_text() == "3\n"
    finally:
        for handle in handles:
            xrun("delete", handle)
    assert apps() == []


def test_a_system_that_is_down(far: Path) -> None:
    here = submitted("--detach", "utils.echo")
    recorded(handle="far://default/old-aaaaa", scheduler="far", state="RUNNING")
    Path(f"{far}.down").touch()
    done = xrun("list")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "far can't be asked" in done.stderr
    assert "no route to far" in done.stderr
    assert done.stdout.startswith("far://default/old-aaaaa\tRUNNING?\t")
    assert here in done.stdout
    assert [(app["state"], app["current"]) for app in apps("-s", "far")] == [("RUNNING", False)]
    assert xrun("list", "-s", "local").stderr == ""
    Path(f"{far}.down").unlink()
    assert [(app["state"], app["current"]) for app in apps("-s", "far")] == [("UNKNOWN", True)]


def test_a_scheduler_that_is_gone_altogether() -> None:
    recorded(handle="lsf://prod/old-aaaaa", scheduler="lsf", state="PENDING")
    done = xrun("list")
    assert done.returncode == 0
    assert "lsf://prod can't be asked" in done.stderr
    assert done.stdout.startswith("lsf://prod/old-aaaaa\tPENDING?\t")


def test_a_job_that_nobody_knows_any_more() -> None:
    recorded()
    assert [(app["state"], app["current"]) for app in apps()] == [("UNKNOWN", True)]
    assert xrun("list").stdout.split("\t")[3] == "-"
    assert xrun("status", "local://default/old-aaaaa").returncode == 5
    assert xrun("delete", "local://default/old-aaaaa").returncode == 0
    assert apps() == []


def test_jobs_that_the_history_lost(xrun_home: Path) -> None:
    submitted("utils.echo")
    live = submitted("--detach", "utils.sh", "--", "exec sleep 300")
    (xrun_home / "history.db").unlink()
    try:
        assert [app["handle"] for app in apps()] == [live], "what lives is found all the same"
        assert len(apps("--all")) == 2
    finally:
        xrun("cancel", live)
    done = xrun("list")
    assert (done.returncode, done.stdout) == (0, "")
    assert "xrun list --all" in done.stderr


def test_somebody_elses_jobs() -> None:
    recorded(user="eve", state="SUCCEEDED", ended=1.0)
    assert apps() == []
    assert [app["user"] for app in apps("--all")] == ["eve"]


def test_name_and_since() -> None:
    now = time.time()
    for days in (0, 1, 5):
        name = f"job-{days}"
        recorded(handle=f"local://default/{name}", name=name, submitted=now - days * 86400, state="FAILED", ended=now)
    assert [app["name"] for app in apps("--since", "2d")] == ["job-0", "job-1"]
    assert [app["name"] for app in apps("--name", "job-5")] == ["job-5"]
    assert [line.split("\t")[2] for line in xrun("list").stdout.splitlines()][1:] == ["24h", "5d"]


def test_a_limit_is_said() -> None:
    now = time.time()
    for number in range(60):
        state = "SUBMITTED" if number == 59 else "SUCCEEDED"
        recorded(handle=f"lsf://default/job-{number:05}", scheduler="lsf", submitted=now - number, state=state)
    done = xrun("list", "--limit", "2")
    assert len(done.stdout.splitlines()) == 2
    assert "not shown: 58 older, 1 of them not ended" in done.stderr
    assert len(apps("--limit", "0")) == len(apps()) == 60
    assert xrun("list", "--limit", "-1").returncode == 2
    assert "not shown: 10 older" in on_terminal("list")[1]
    assert "not shown" not in on_terminal("list", "--limit", "0")[1]


def test_a_name_of_any_text_stays_in_its_column() -> None:
    recorded(name="a\tb\nc\x1b[31m\udc80", state="FAILED", ended=time.time())
    lines = xrun("list").stdout.splitlines()
    assert len(lines) == 1
    name = lines[0].split("\t")[4]
    assert name.isprintable()
    assert name.startswith("a")
    assert name.endswith("[31m\\udc80")


def test_refusals() -> None:
    assert "unknown scheduler 'nope'" in xrun("list", "-s", "local", "-s", "nope").stderr
    assert xrun("list", "--state", "nope").returncode == 2
    assert xrun("list", "--since", "yesterday").returncode == 2
    assert xrun("list", "-s", "local_cwd", "-s", "memory").returncode == 0


def test_a_damaged_and_a_newer_history(xrun_home: Path) -> None:
    live = submitted("--detach", "utils.sh", "--", "exec sleep 300")
    try:
        path = xrun_home / "history.db"
        for companion in ("-wal", "-shm"):
            Path(f"{path}{companion}").unlink(missing_ok=True)
        path.write_bytes(b"rubbish" * 1000)
        done = xrun("list")
        assert (done.returncode, done.stdout.split("\t")[0]) == (0, live)
        assert len(done.stderr.splitlines()) == 1
        assert "was damaged" in done.stderr
        assert xrun("list").stderr == ""
    finally:
        xrun("cancel", live)


def test_one_notice_when_nothing_can_be_recorded(xrun_home: Path) -> None:
    xrun_home.mkdir()
    (xrun_home / "history.db").mkdir()
    done = xrun("utils.echo", "--msg", "hi")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert [line for line in done.stderr.splitlines() if "history" in line] == [done.stderr.splitlines()[-1]]
    assert "the history of jobs is not kept now" in done.stderr
    listed = xrun("list")
    assert listed.returncode == 0
    assert "only what the systems know is shown" in listed.stderr
