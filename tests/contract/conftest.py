"""Schedulers of examples/: installed as a user would install them, their own tests run outside of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

REPORTS = "XRUN_REPORTS"
"""Variable with the folder for JUnit reports of runs that a test starts; scripts/check sets it."""


@pytest.fixture
def keeps_the_contract(tmp_path: Path) -> Callable[[str], None]:
    """Installs ``examples/NAME`` into a folder and runs its ``test_contract.py``; nothing may fail or be skipped."""

    def check(name: str) -> None:
        source, target = tmp_path / "source", tmp_path / "site"
        shutil.copytree(EXAMPLES / name, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
        subprocess.run(
            [*install, str(target), str(source)], check=True, env={**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
        )
        shutil.copy(source / "test_contract.py", tmp_path)
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        report = Path(os.environ.get(REPORTS) or tmp_path).absolute() / f"contract-{name}.xml"
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        done = subprocess.run(
            [*command, "test_contract.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "skipped" not in done.stdout

    return check
