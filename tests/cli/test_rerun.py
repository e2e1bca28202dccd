"""rerun: the same again, and what differs today."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.helpers import git
from xrun import __version__
from xrun.runner import get_runner
from xrun.specs import AppDef, Role

from .conftest import xrun

JOBS = """
from xrun.specs import AppDef, Role

def say(name: str, times: int = 1, *words: str) -> AppDef:
    return AppDef("say", [Role("r", entrypoint="echo", args=["hello", name, *words], num_replicas=times)])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a component, which is also a work tree of git with one commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "jobs.py").write_text(JOBS)
    git(folder, "init", "-q")
    git(folder, "add", "jobs.py")
    git(folder, "commit", "-qm", "one")
    return folder


def submitted(*words: str, cwd: Path) -> str:
    done = xrun("--detach", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert xrun("wait", done.stdout.strip()).returncode == 0
    return done.stdout.strip()


def test_the_same_again_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    handle = submitted("-cfg", "grace_period=7", "jobs.py:say", "--name", "world", cwd=folder)
    done = xrun("rerun", handle, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello world\n"), done.stderr
    assert f"differs from {handle}: nothing" in done.stderr
    with get_runner() as runner:
        new, old = (runner.history.get(row.handle) for row in runner.history.recent())
    assert new is not None
    assert old is not None
    assert old.handle == handle != new.handle
    changed = {"handle", "submitted", "ended", "command", "request_id"}
    assert {name for name in new._fields if getattr(new, name) != getattr(old, name)} <= changed
    assert new.options["grace_period"] == 7
    assert (new.command[-2:], new.folder) == (["rerun", handle], str(folder))
    assert xrun("rerun", new.handle, cwd=tmp_path).stdout == "hello world\n", "what was rerun can be rerun"


def test_with(folder: Path) -> None:
    handle = submitted("jobs.py:say", "--name", "world", "--", "a", cwd=folder)
    done = xrun("rerun", "--with", "name=you=me", "--with", "words='b c' d", "--log", handle)
    assert done.stdout == "hello you=me b c d\n"
    assert "roles[0].args is ['hello', 'you=me', 'b c', 'd'], was ['hello', 'world', 'a']" in done.stderr
    done = xrun("rerun", "--with", "times=2", "--detach", "--json", handle)
    answer = json.loads(done.stdout)
    assert answer["handle"].startswith("local://default/say-")
    assert "roles[0].num_replicas is 2, was 1" in done.stderr
    xrun("wait", answer["handle"])
    again = xrun("rerun", "--with", "name=x", "--dryrun", answer["handle"])
    assert "-lt 2" in again.stdout, "what --with changed stays changed"
    assert "hello x a" in again.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--with", "nme=x"], "unknown option 'nme'; did you mean name?"),
        (["--with", "times=many"], "option times"),
        (["--with", "times"], "write NAME=VALUE"),
        (["--with", "=3"], "write NAME=VALUE"),
        (["--with", "times=1", "--with", "times=2"], "--with times is given twice"),
        (["--with", "words='"], "is no list of words"),
        (["--detach", "--wait"], "--detach goes with neither"),
        (["--request-id", ""], "--request-id is empty"),
    ],
)
def test_refusals(folder: Path, words: list[str], message: str) -> None:
    handle = submitted("jobs.py:say", "--name", "world", cwd=folder)
    done = xrun("rerun", *words, handle)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(xrun("list").stdout.splitlines()) == 1


def test_what_differs_today(folder: Path) -> None:
    handle = submitted("jobs.py:say", "--name", "world", cwd=folder)
    before = git(folder, "rev-parse", "HEAD")
    (folder / "jobs.py").write_text(JOBS.replace("hello", "good evening"))
    (folder / "xrun.toml").write_text("[schedulers.local]\ngrace_period = 3\n[components.'jobs.py:say']\ntimes = 1\n")
    dry = xrun("rerun", "--dryrun", handle)
    assert "roles[0].args[0] is 'good evening', was 'hello'" in dry.stderr
    assert "options.grace_period is 3.0, was 30.0" in dry.stderr
    assert f"git is at {before[:12]} with changed files, was at {before[:12]}" in dry.stderr
    assert "good evening" in dry.stdout
    git(folder, "commit", "-qam", "two")
    with get_runner() as runner:
        job = runner.history.get(handle)
        assert job is not None
        runner.history.record(job._replace(xrun="0.0.1", python="3.9.0"), new=True)
    again = xrun("rerun", "--dryrun", handle)
    assert f"git is at {git(folder, 'rev-parse', 'HEAD')[:12]}, was at {before[:12]}" in again.stderr
    assert f"xrun is '{__version__}', was '0.0.1'" in again.stderr
    assert "python is '3." in again.stderr
    assert len(xrun("list").stdout.splitlines()) == 1


def test_a_job_from_python_is_sent_as_it_was(folder: Path) -> None:
    app = AppDef("mine", [Role("r", entrypoint="sh", args=["-c", "echo $0 && exit 3", "${app_id}"], env={"A": "b"})])
    with get_runner() as runner:
        handle = runner.run(app, "local", {"grace_period": 2})
        runner.wait(handle)
    done = xrun("rerun", "--wait", "--json", handle, cwd=folder)
    assert done.returncode == 1
    assert json.loads(done.stdout)["state"] == "FAILED"
    refused = xrun("rerun", "--with", "a=b", handle)
    assert refused.returncode == 2
    assert "it has none" in refused.stderr


def test_its_session_and_request_id(folder: Path) -> None:
    (folder / "xrun.toml").write_text("[profiles.prod.run]\nscheduler = 'local'\n")
    handle = submitted("--profile", "prod", "jobs.py:say", "--name", "world", cwd=folder)
    assert handle.startswith("local://prod/")
    (folder / "xrun.toml").unlink()
    words = ["rerun", "--detach", "--request-id", "ci-1", handle]
    new = xrun(*words).stdout
    assert new.startswith("local://prod/say-")
    assert xrun(*words).stdout == new, "the same request gives the same job"


def test_jobs_that_are_not_known() -> None:
    done = xrun("rerun", "local://default/none-aaaaa")
    assert done.returncode == 5
    assert "the history doesn't know how it was submitted" in done.stderr
    assert xrun("rerun", "none").returncode == 2


def test_a_folder_that_is_gone(folder: Path, tmp_path: Path) -> None:
    handle = submitted("jobs.py:say", "--name", "world", cwd=folder)
    os.rename(folder, tmp_path / "elsewhere")
    done = xrun("rerun", handle)
    assert done.returncode == 2
    assert f"was submitted in {folder}; it can't be entered: No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_history_that_cant_be_read(xrun_home: Path) -> None:
    xrun_home.mkdir()
    (xrun_home / "history.db").mkdir()
    done = xrun("rerun", "local://default/none-aaaaa")
    assert done.returncode == 4
    assert "[XR086]" in done.stderr
    assert len(done.stderr.splitlines()) == 1
