"""The engine, as the tests of the docker scheduler use it."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.engine import CutLine, DockerSystem
from xrun.runner import Runner, get_runner
from xrun.schedulers.docker.client import Engine


@pytest.fixture
def docker_host(docker_system: DockerSystem, monkeypatch: pytest.MonkeyPatch) -> str:
    """DOCKER_HOST is our own engine."""
    monkeypatch.setenv("DOCKER_HOST", docker_system.host)
    return docker_system.host


@pytest.fixture
def runner(docker_host: str, xrun_home: Path) -> Iterator[Runner]:
    """A runner with it and a fresh XRUN_HOME."""
    with get_runner() as runner:
        yield runner


@pytest.fixture
def engine(docker_host: str) -> Iterator[Engine]:
    """A connection to it."""
    engine = Engine(docker_host)
    yield engine
    engine.close()


@pytest.fixture
def line(docker_system: DockerSystem, sockets_forgotten: None) -> Iterator[CutLine]:
    """Another way to it, which can be cut."""
    line = CutLine(docker_system.socket)
    yield line
    line.close()


@pytest.fixture
def over_the_line(
    line: CutLine, docker_host: str, xrun_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runner]:
    """A runner whose line to the engine can be cut."""
    monkeypatch.setenv("DOCKER_HOST", line.host)
    with get_runner() as runner:
        yield runner


@pytest.fixture
def sockets_forgotten() -> Iterator[None]:
    """The SDK leaves a socket unclosed that can't be connected; no test is to trip over it, this one included."""
    gc.disable()
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    gc.enable()


@pytest.fixture
def output_of(engine: Engine) -> Iterator[Callable[..., bytes]]:
    """Runs a command in a container of an image."""
    made: list[str] = []

    def run(image: str, *words: str, **options: Any) -> bytes:
        limits = engine.api.create_host_config(network_mode="none")
        made.append(engine.api.create_container(image, list(words), host_config=limits, **options)["Id"])
        engine.api.start(made[-1])
        code = engine.api.wait(made[-1])["StatusCode"]
        output: bytes = engine.api.logs(made[-1])
        assert code == 0, output
        return output

    yield run
    for container in made:
        engine.api.remove_container(container, force=True, v=True)
