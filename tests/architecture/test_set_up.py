"""The set-up script reads what setup.cfg says."""

from __future__ import annotations

import configparser
import os
from importlib.metadata import distributions
from types import ModuleType

import pytest
from packaging.specifiers import SpecifierSet

from tests.helpers import ROOT, script


@pytest.fixture
def environment() -> ModuleType:
    return script("environment")


def test_requirements_are_those_of_setup_cfg(environment: ModuleType) -> None:
    requirements = environment.read_requirements()

    assert {"click>=8.1.8", "torch>=2.4", "pytest>=8", "scikit-learn>=1.4"} <= set(requirements)
    assert not [line for line in requirements if line.startswith("xrun")]


def test_every_requirement_is_pinned() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = config["options"]["install_requires"] + "".join(config["options.extras_require"].values())
    names = {line.split(">")[0].split("[")[0].lower().replace("_", "-") for line in asked.split()}
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}

    assert names - pinned == {"xrun"}


def test_every_pin_can_be_had_by_the_oldest_python() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    oldest = config["options"]["python_requires"].removeprefix(">=") + ".0"
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    dists = {name.lower().replace("_", "-"): dist for dist in distributions() if (name := dist.metadata["Name"])}
    asked = {name: dists[name].metadata["Requires-Python"] or "" for name in dists.keys() & pins.keys()}

    assert len(asked) > len(pins) / 2
    assert {name: text for name, text in asked.items() if oldest not in SpecifierSet(text)} == {}


@pytest.mark.xdist_group("kept-together")
def test_workers_keep_groups_together(request: pytest.FixtureRequest) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup", default=False):
        assert request.node.nodeid.endswith("@kept-together")
