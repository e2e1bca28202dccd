"""Local code: a copy in the job's folder, made when the job is submitted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import ends, run, sh
from tests.systems.slurm_cluster import SlurmCluster
from xrun.errors import InvalidJob
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.role import SCRIPT, Role
from xrun.specs.states import AppState
from xrun.specs.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(120)]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "my code"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "main.sh").write_text("#!/bin/sh\necho old; cat pkg/data; ls\n")
    (folder / "pkg" / "main.sh").chmod(0o755)
    (folder / "pkg" / "data").write_text("data\n")
    (folder / "link").symlink_to("pkg")
    (folder / "big.bin").write_text("x")
    (folder / ".gitignore").write_text("*.bin\n")
    return folder


def program(code: Path, name: str = "main", word: str = "pkg/main.sh") -> Role:
    return Role(name, entrypoint="./link/main.sh", workspace=Workspace({str(code): ""}), metadata={SCRIPT: word})


def test_what_is_changed_later_has_no_effect(runner: Runner, cluster: SlurmCluster, code: Path) -> None:
    held = run(runner, program(code), sbatch_args=["--hold"])
    (code / "pkg" / "main.sh").write_text("#!/bin/sh\necho new\n")
    cluster.command("scontrol", "release", str(runner.status(held).native_id))  # type: ignore[union-attr] # it is there
    ends(runner, held, AppState.SUCCEEDED)
    assert list(runner.log_lines(held, "main")) == ["old\n", "data\n", "link\n", "pkg\n"]


def test_each_role_has_its_own(runner: Runner, cluster: SlurmCluster, code: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "only here").touch()
    second = sh("ls", "second", workspace=Workspace({str(other): "place"}))
    third = sh("pwd", "third")
    handle = run(runner, program(code), second, third, packed=True)
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "second")) == ["place\n"]
    assert list(runner.log_lines(handle, "third")) == [f"{os.getcwd()}\n"]


def test_a_script_that_does_not_travel_is_missed_at_once(runner: Runner, cluster: SlurmCluster, code: Path) -> None:
    with pytest.raises(InvalidJob, match=r"roles\[1\].*big.bin"):
        run(runner, sh("true", "first"), program(code, word="big.bin"))
    assert runner.list("slurm") == []


def test_by_hand_it_is_the_folder_itself(
    runner: Runner, cluster: SlurmCluster, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = str(runner.dryrun(AppDef("job", [program(code)]), "slurm"))
    done = subprocess.run(["sbatch", "--wait", "--parsable"], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    written = list((tmp_path / "home" / "slurm").glob("job-*/main.0.out"))
    assert [path.read_text().split()[:2] for path in written] == [["old", "data"]]
    # names are in what xrun writes when it submits, as the page says
    found = runner.description(f"slurm://default/{written[0].parent.name}")
    assert found is not None
    assert (found.status.state, found.status.roles, found.app) == (AppState.SUCCEEDED, [], None)
