"""The contract on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract

pytestmark = pytest.mark.xdist_group("docker")


class TestDocker(SchedulerContract):
    scheduler = "docker"
    image = "bbpy:1"
    inherits_env = False
    timeout = 120
    skew = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
            patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
            yield runner
