"""The contract of xrun on task-spooler."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract


class TestTsp(SchedulerContract):
    """Every fact of the contract on this scheduler."""

    scheduler = "tsp"
    hostile_jobs = 3

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        """A runner with a home and a queue of its own."""
        folder = tmp_path_factory.mktemp("tsp")
        with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
            patch.setenv("XRUN_HOME", str(folder))
            patch.setenv("TS_SOCKET", str(folder / "socket"))
            yield runner
            subprocess.run(["tsp", "-K"], check=True)
