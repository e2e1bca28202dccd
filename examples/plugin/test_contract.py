"""The example plugin keeps xrun's contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract


class TestExample(SchedulerContract):
    """Every fact of the contract on this scheduler."""

    scheduler = "example"
    hostile_jobs = 3

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        """A runner with a home of its own."""
        with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
            patch.setenv("XRUN_EXAMPLE_HOME", str(tmp_path_factory.mktemp("home")))
            yield runner
