"""Where local jobs run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.schedulers.local.conftest import end_of, sh
from xrun.errors import InvalidJob, Unsupported
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.specs import AppDef, AppState
from xrun.specs.workspace import Workspace


def job(*projects: tuple[str, str]) -> AppDef:
    return sh('pwd >"$1"', "where", workspace=Workspace(dict(projects)))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a repository; the current folder is below it."""
    top = tmp_path / "a repository"
    (top / "deep/down").mkdir(parents=True)
    (top / ".git").mkdir()
    monkeypatch.chdir(top / "deep/down")
    return top


@pytest.mark.parametrize("source", ["git://", "../..", "file://../.."])
def test_a_job_runs_in_its_workspace_as_it_stands(repository: Path, local: LocalScheduler, source: str) -> None:
    (repository / ".gitignore").write_text("*\n")
    app_id = local.submit(job((source, "")), {})

    assert end_of(local, app_id).state is AppState.SUCCEEDED
    assert (repository / "where").read_text() == f"{repository}\n"


def test_no_repository_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: LocalScheduler) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidJob, match=r"\[XR055\] git://: no git repository is around the current folder"):
        local.submit(job(("git://", "")), {})
    assert list(local.list()) == []


def test_the_script_finds_the_repository_itself(tmp_path: Path, local: LocalScheduler) -> None:
    script = local.render(local.submit_dryrun(job(("git://", "")), {}).request)
    top = tmp_path / "top"
    (top / "sub").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", top], check=True)

    subprocess.run(["sh", "-c", script], cwd=top / "sub", check=True, timeout=30)
    assert (top / "where").read_text() == f"{top}\n"


@pytest.mark.parametrize(
    "projects", [[("a", ""), ("b", "")], [("a", "sub")], [("memory://a", "")], [("git://", "sub")], [("git:///x", "")]]
)
def test_more_than_a_folder_is_refused(local: LocalScheduler, projects: list[tuple[str, str]]) -> None:
    with pytest.raises(Unsupported, match=r"\[XR048\] .*local runs in one local folder, .* \(give one folder, as in"):
        local.submit_dryrun(job(*projects), {})
