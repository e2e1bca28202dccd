"""What ``xrun doctor`` says of an engine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.engine import DockerSystem
from xrun.schedulers.api import Probe
from xrun.schedulers.docker import probes
from xrun.schedulers.docker.client import Engine

pytestmark = pytest.mark.xdist_group("docker")


def looked_at(engine: Engine, **options: Any) -> dict[str, Probe]:
    return {probe.subject: probe for probe in probes.look(engine, options)}


def test_an_engine_that_has_all(engine: Engine) -> None:
    found = looked_at(engine)
    assert list(found) == ["engine", "limits", "storage", "restarts", "gpus"]
    assert found["engine"].ok
    assert found["engine"].detail.endswith(f" at {engine.host}")
    assert found["limits"].ok
    assert "GiB free in " in found["storage"].detail
    assert "live-restore" in found["restarts"].detail


def test_gpus_that_the_engine_cannot_pass_on(engine: Engine) -> None:
    found = looked_at(engine, gpus=2)["gpus"]
    assert not found.ok
    assert "2 found, and no runtime" in found.detail


def test_a_registry_that_answers(engine: Engine, docker_system: DockerSystem) -> None:
    found = looked_at(engine, image_repo=f"{docker_system.registry}/team/jobs")["registry"]
    assert found.ok, found.detail


def test_a_registry_that_is_away(engine: Engine) -> None:
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        found = looked_at(engine, image_repo=f"127.0.0.1:{closed.getsockname()[1]}/team/jobs")["registry"]
    assert not found.ok
    assert found.unreachable
    assert "127.0.0.1" in found.detail


def test_an_engine_that_is_away(tmp_path: Path) -> None:
    found = looked_at(Engine(f"unix://{tmp_path}/none.sock"))["engine"]
    assert not found.ok
    assert found.unreachable


def test_a_storage_driver_that_copies(engine: Engine) -> None:
    assert not probes._storage(engine, {"Driver": "vfs", "DockerRootDir": "/"}).ok


@pytest.fixture
def mute(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An engine that takes calls and never answers."""
    path = f"/tmp/xrun-mute-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        yield f"unix://{path}"
    os.unlink(path)


def test_an_engine_that_never_answers_is_not_waited_for(mute: str) -> None:
    began = time.monotonic()
    (found,) = probes.look(Engine(mute, patience=1), {})
    assert not found.ok
    assert "can't be reached" in found.detail
    assert time.monotonic() - began < 10


def test_doctor_knows_the_configured_repository(docker_system: DockerSystem, tmp_path: Path) -> None:
    config = tmp_path / "xrun.toml"
    config.write_text(f'[schedulers.docker]\nimage_repo = "{docker_system.registry}/team/jobs"\n')
    env = {**os.environ, "DOCKER_HOST": docker_system.host, "XRUN_CONFIG": str(config), "XRUN_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "xrun", "doctor", "-s", "docker", "--json"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
    rows = [row for row in json.loads(done.stdout)["findings"] if row["section"] == "scheduler docker"]
    assert {row["subject"]: row["verdict"] for row in rows}["registry"] == "ok", done.stdout
