"""The command as a person calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _home(xrun_home: Path) -> None:
    """Every test has a home of its own."""


def xrun(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs ``xrun`` and returns what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "xrun", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )
