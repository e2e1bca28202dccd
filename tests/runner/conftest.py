"""A folder with a configuration of its own, and nothing of the machine's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str], Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, two levels below ``tmp_path``; the user's configuration folder is empty."""
    folder = tmp_path / "above" / "project"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("XRUN_CONFIG", "XRUN_SCHEDULER", "XRUN_PROFILE", "XRUN_WORKSPACE", "XRUN_CFG"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def write(project: Path) -> Write:
    """Writes ``xrun.toml`` of the working directory."""

    def write(text: str) -> Path:
        path = project / "xrun.toml"
        path.write_text(text)
        return path

    return write
