"""The contract on real clusters: heterogeneous jobs where ended ones are forgotten, packed ones where they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]


class TestSlurm(SchedulerContract):
    scheduler = "slurm"
    cfg: ClassVar[Mapping[str, Any]] = {"nodes": 2}  # for each role: those of a heterogeneous job share no node
    timeout = 200
    skew = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, slurm_cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        yield from _runner(slurm_cluster, tmp_path_factory)


class TestSlurmWithAccounting(TestSlurm):
    cfg: ClassVar[Mapping[str, Any]] = {"nodes": 4, "packed": True}

    @pytest.fixture(scope="class")
    @classmethod
    def runner(
        cls, slurm_cluster_accounting: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Runner]:
        yield from _runner(slurm_cluster_accounting, tmp_path_factory)


def _runner(cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
        patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
        for name, value in cluster.env.items():
            patch.setenv(name, value)
        yield runner
