"""The contract on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systems import engine
from tests.systems.engine import DockerSystem
from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]


class TestDocker(SchedulerContract):
    scheduler = "docker"
    image = engine.PYTHON_IMAGE
    inherits_env = False
    timeout = 200
    skew = 1.5

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, docker_system: DockerSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        engine.with_python(docker_system)
        with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
            patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
            patch.setenv("DOCKER_HOST", docker_system.host)
            yield runner
