"""What xrun's metadata asks for, read as it is written."""

from __future__ import annotations

import importlib.metadata

import pytest

from xrun.runner import requirements
from xrun.runner.requirements import Requirement


def test_every_line_of_our_own_metadata_is_read() -> None:
    lines = importlib.metadata.requires("xrun") or []

    assert lines
    assert [line for line in lines if not requirements._FORM.fullmatch(line)] == []


def test_extras_are_those_of_the_metadata_and_what_is_in_them() -> None:
    assert requirements.extras() == importlib.metadata.metadata("xrun").get_all("Provides-Extra")
    testing = [r.name for r in requirements.of_extra("testing") or []]
    development = [r.name for r in requirements.of_extra("dev") or []]
    assert testing == ["pytest", "hypothesis"]
    assert {*testing, "ruff"} < set(development)  # an extra that names another holds what is in that
    assert "click" in [r.name for r in requirements.of_extra("") or []]


@pytest.mark.parametrize(
    ("least", "installed", "wants"),
    [
        ("8", "8.0.1", ""),
        ("8.0", "8", ""),
        ("2024.2", "2024.10.0", ""),
        ("1.9", "1.10rc1", ""),
        ("", "0.0.1", ""),
        ("8.1.8", "8.1.7", "acme>=8.1.8 is needed, 8.1.7 is there"),
        ("2", "1.99", "acme>=2 is needed, 1.99 is there"),
        ("2", "", "acme>=2 is not installed"),
        ("", "", "acme is not installed"),
        ("1", "?", "acme>=1 is needed, ? is there"),
    ],
)
def test_versions(least: str, installed: str, wants: str) -> None:
    assert Requirement("acme", least, installed).wants == wants


def test_the_command_is_quoted_for_a_shell() -> None:
    wanting = [Requirement("torch", "2.4", ""), Requirement("furo", "", "")]
    assert requirements.command(wanting) == "pip install 'torch>=2.4' furo"


def test_without_metadata_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError("xrun")

    monkeypatch.setattr(importlib.metadata, "metadata", none)
    monkeypatch.setattr(importlib.metadata, "requires", none)
    assert requirements.extras() == []
    assert requirements.of_extra("") is None
