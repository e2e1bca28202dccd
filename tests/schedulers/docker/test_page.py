"""What docs/docker.md says is so, on a real engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import BadBlock, read
from tests.docs.story import Failed, Story
from tests.systems import engine
from tests.systems.engine import DockerSystem

pytestmark = pytest.mark.xdist_group("docker")


def test_the_page(docker_system: DockerSystem, docker_host: str, tmp_path: Path) -> None:
    engine.docker(docker_system, "tag", engine.with_python(docker_system), "python:3.12")
    problem = ""
    try:
        with Story(tmp_path) as story:
            for block in read("docs/docker.md"):
                story.tell(block)
    except (BadBlock, Failed) as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)
