"""A cluster, as the tests of the Slurm scheduler use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import wrap
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner, get_runner


@pytest.fixture
def cluster(slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> SlurmCluster:
    """One that forgets ended jobs; Slurm's commands find it."""
    for name, value in slurm_cluster.env.items():
        monkeypatch.setenv(name, value)
    return slurm_cluster


@pytest.fixture(params=["forgets", "keeps"])
def each_cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SlurmCluster:
    """Both kinds, one after the other."""
    name = "slurm_cluster" if request.param == "forgets" else "slurm_cluster_accounting"
    found: SlurmCluster = request.getfixturevalue(name)
    for variable, value in found.env.items():
        monkeypatch.setenv(variable, value)
    return found


@pytest.fixture
def runner(xrun_home: Path) -> Iterator[Runner]:
    """With a home, and so a job root, of its own."""
    with get_runner() as runner:
        yield runner


@pytest.fixture
def wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a script before one of Slurm's commands; see `jobs.wrap`. Gives the folder that is ``$here``."""
    path = os.environ["PATH"]

    def put(name: str, script: str) -> Path:
        monkeypatch.setenv("PATH", f"{wrap(tmp_path, name, script)}:{path}")
        return tmp_path

    return put
