"""What strangers stumbled over at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import install

from .conftest import xrun

SAFE = {"PYTHONSAFEPATH": "1"}  # `python -m` itself would put the folder before the standard library

COMPONENTS = """
import sys
from xrun.specs import AppDef, Role

def leaves() -> AppDef:
    sys.exit(0)

def prints() -> AppDef:
    print("noise")
    return AppDef("a", [Role("r", entrypoint="true")])

def bad(a, *, b: object) -> AppDef:
    return AppDef("a", [])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with components, and a file that is named like a module of the standard library."""
    (tmp_path / "jobs.py").write_text(COMPONENTS)
    (tmp_path / "json.py").write_text("raise RuntimeError('not that one')\n")
    (tmp_path / "shlex.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["log", "--help"], ["list", "--help"]])
def test_examples_of_the_help_stand_on_lines_of_their_own(words: list[str]) -> None:
    lines = [line.strip() for line in xrun(*words).stdout.splitlines()]
    assert not any("\\b" in line for line in lines)
    assert sum(line.startswith("xrun ") for line in lines) >= 2


def test_a_component_that_exits_is_refused(folder: Path) -> None:
    done = xrun("jobs.py:leaves", cwd=folder, env=SAFE)
    assert done.returncode == 2
    assert "called exit(0)" in done.stderr


def test_what_a_component_prints_is_no_answer(folder: Path) -> None:
    done = xrun("--dryrun", "--json", "jobs.py:prints", cwd=folder, env=SAFE)
    assert json.loads(done.stdout)["request"].startswith("#!/bin/sh")
    assert "noise" in done.stderr


def test_help_of_what_is_no_component_says_every_reason(folder: Path) -> None:
    done = xrun("jobs.py:bad", "--help", cwd=folder, env=SAFE)
    assert done.returncode == 2
    assert "a" in done.stderr
    assert "object" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--request-id", "", "utils.echo"], "--request-id is empty"),
        (["-cfg", "gpus=1", "-cfg", "gpus=2", "utils.echo"], "gpus is given twice"),
    ],
)
def test_doubtful_options_are_refused(words: list[str], text: str) -> None:
    done = xrun(*words)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_slip_of_the_finger_does_not_take_the_machine_down() -> None:
    done = xrun("utils.echo", "--num-replicas", "100000000")
    assert done.returncode == 3
    assert "10000" in done.stderr


@pytest.mark.parametrize("words", ["--help", "utils.echo", "list --json"])
def test_a_full_disk_behind_stdout_is_one_line(words: str) -> None:
    command = f"{sys.executable} -m xrun {words} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugin_whose_factory_fails_hurts_nobody_else(tmp_path: Path) -> None:
    install(
        tmp_path,
        "crashy",
        "[xrun.schedulers]\ncrashy = crashy:create\n",
        crashy="def create(session, **_):\n    raise RuntimeError('no luck')\n",
    )
    env = {"PYTHONPATH": str(tmp_path)}
    other = xrun("-cfg", "nonsense=1", "utils.echo", env=env)
    assert other.returncode == 2
    assert "unknown option 'nonsense'" in other.stderr
    asked = xrun("-s", "crashy", "utils.echo", env=env)
    assert asked.returncode == 4
    assert "no luck" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1


def test_somebody_elses_pyproject_is_no_bug(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nxrun = 3\n")
    done = xrun("utils.sh", "-h", "box", "--", "true", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
