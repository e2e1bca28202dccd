"""What may happen beside a supervisor and beside those who wait: others at work, an engine that is away."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.docker.jobs import UNTIL_STOPPED, ends, left, reaches, run, sh, status, supervisors, until
from tests.systems import engine as systems
from tests.systems import rootfs
from tests.systems.engine import DockerSystem, docker
from xrun.errors import BackendUnavailable
from xrun.runner import Runner, get_runner
from xrun.schedulers.docker import containers, supervisor
from xrun.schedulers.docker.client import Engine
from xrun.schedulers.docker.labels import Verdict
from xrun.specs.app import AppDef
from xrun.specs.identity import make_app_id
from xrun.specs.mounts import BindMount
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "8"))
FAILED, SUCCEEDED, CANCELLED = AppState.FAILED, AppState.SUCCEEDED, AppState.CANCELLED

AWAY = pytest.mark.filterwarnings(
    # the SDK leaves a socket unclosed each time that nobody answers
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def app_id_of(handle: str) -> str:
    return handle.rpartition("/")[2]


def is_without_supervisor(handle: str) -> bool:
    return not supervisors(app_id_of(handle))


def running(system: DockerSystem, handle: str) -> list[str]:
    only = f"label=xrun.dev/app-id={app_id_of(handle)}"
    return docker(system, "ps", "--filter", only, "--format", "{{.Names}}").decode().split()


# --- somebody else's hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("name", ["KILL", "TERM", "INT"])
def test_a_signal_by_docker_kill_is_named(
    runner: Runner, docker_system: DockerSystem, name: str, replicas: int
) -> None:
    handle = run(runner, sh(f"trap - {name}; echo ready; exec sleep 100", num_replicas=replicas))
    reaches(runner, handle, "ready")
    docker(docker_system, "kill", "--signal", name, f"{app_id_of(handle)}-main-0")
    found = ends(runner, handle, FAILED)
    assert found.msg == f"main/0 failed: SIG{name}: somebody sent it SIG{name}, as docker stop and docker kill do"


def test_a_program_that_kills_itself_was_not_killed_by_somebody(runner: Runner) -> None:
    found = ends(runner, run(runner, sh("echo why >&2; kill -KILL $$")), FAILED)
    assert found.msg == "main/0 failed: SIGKILL: why"


def test_what_is_stopped_with_the_rest_is_not_blamed_on_somebody(runner: Runner) -> None:
    handle = run(runner, sh("sleep 0.5; echo why >&2; exit 3", "bad"), sh("echo on >&2; exec sleep 100", "good"))
    found = ends(runner, handle, FAILED)
    assert found.msg == "bad/0 failed: exit 3: why"
    good = status(runner, handle).roles[1].replicas[0]
    assert (good.state, good.error) == (CANCELLED, "on")


def test_an_ended_replica_is_removed_by_somebody(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh("exit 0"))
    ends(runner, handle, SUCCEEDED)
    docker(docker_system, "rm", f"{app_id_of(handle)}-main-0")
    assert runner.status(handle) is None


def test_an_image_removed_by_force_is_a_cause(runner: Runner, docker_system: DockerSystem) -> None:
    docker(docker_system, "import", "--change", "LABEL of=test", "-", "xrun-forced:1", stdin=rootfs.busybox())
    handle = run(runner, sh("exit 3", image="xrun-forced:1", max_retries=0, num_replicas=1), max_runtime=300)
    with_retry = run(runner, sh("sleep 2; exit 3", image="xrun-forced:1", max_retries=1))
    until(lambda: status(runner, handle).state == FAILED)
    until(lambda: not supervisors(app_id_of(handle)))
    docker(docker_system, "rm", "--force", f"{app_id_of(handle)}.verdict")
    until(lambda: not running(docker_system, with_retry))
    docker(docker_system, "rmi", "--force", "xrun-forced:1")
    assert "exit 3" in ends(runner, handle, FAILED).msg
    assert "exit 3" in ends(runner, with_retry, FAILED).msg or "No such image" in status(runner, with_retry).msg


def test_a_network_that_is_gone_before_the_start_is_a_cause(
    runner: Runner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = containers.start

    def start(engine_: Engine, container: str) -> None:
        for network in engine_.api.networks(filters={"label": "xrun.dev/app-id"}):
            containers.remove_network(engine_, network["Labels"]["xrun.dev/app-id"])
        real(engine_, container)

    monkeypatch.setattr(containers, "start", start)
    handle = run(runner, sh("exit 0", num_replicas=2))
    assert "not found" in ends(runner, handle, FAILED).msg


# --- at the same time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_cancel_between_creation_and_start_is_carried_out(
    runner: Runner, docker_system: DockerSystem, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    request_id = f"cancelled {os.getpid()} {replicas}"
    handle = f"docker://default/{make_app_id('job', request_id)}"
    real, once = containers.start, threading.Lock()

    def start(engine: Engine, container: str) -> None:
        if once.acquire(blocking=False):
            with get_runner() as other:
                other.cancel(handle, wait=False)
        real(engine, container)

    monkeypatch.setattr(containers, "start", start)
    app = AppDef("job", [sh(UNTIL_STOPPED, num_replicas=replicas)])
    assert runner.run(app, "docker", {"grace_period": 1}, request_id=request_id) == handle
    until(lambda: not running(docker_system, handle) and not supervisors(app_id_of(handle)))
    assert status(runner, handle).msg == "cancelled"


def test_delete_at_any_moment_of_retries_leaves_nothing(runner: Runner, docker_system: DockerSystem) -> None:
    chance = random.Random(7)
    for k in range(ROUNDS):
        policy = list(RetryPolicy)[k % 3]
        handle = run(runner, sh("exit 3", num_replicas=2, max_retries=1000, retry_policy=policy), grace_period=0.5)
        time.sleep(chance.uniform(0, 1.5))  # the moment is what is drawn
        runner.delete(handle)
        assert left(docker_system, handle) == []
        until(partial(is_without_supervisor, handle))
        assert left(docker_system, handle) == []


def test_a_supervisor_whose_deeds_have_no_effect_does_not_spin(
    runner: Runner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    found = containers.apps(engine)[app_id_of(handle)]
    containers.decide(engine, found, Verdict("CANCELLED", "cancelled", None, time.time()))
    calls: list[float] = []
    real = containers.stop

    def stop(*words: Any) -> None:
        calls.append(time.monotonic())
        if len(calls) == 8:
            real(*words)

    monkeypatch.setattr(containers, "stop", stop)
    supervisor.supervise(engine, app_id_of(handle))
    assert len(calls) == 8
    assert calls[-1] - calls[0] > 0.5
    ends(runner, handle, CANCELLED)


# --- the engine goes away ------------------------------------------------------------------------------------------


@AWAY
@pytest.mark.usefixtures("sockets_forgotten")
@pytest.mark.parametrize("replicas", [1, 2])
def test_who_waits_outlasts_an_engine_that_is_away(
    runner: Runner, docker_system: DockerSystem, tmp_path: Path, replicas: int
) -> None:
    ended = tmp_path / "ended"
    script = f"echo ready; until [ -e {tmp_path}/go ]; do sleep 0.1; done; echo last; touch {ended}$XRUN_REPLICA_ID"
    mount = BindMount(str(tmp_path), str(tmp_path))
    handle = run(runner, sh(script, num_replicas=replicas, mounts=[mount]))
    reaches(runner, handle, "ready", k=replicas - 1)
    seen: list[AppState | Exception] = []
    lines: list[str] = []

    def wait() -> None:
        try:
            seen.extend(there.status.state for there in runner.watch(handle, 100) if there is not None)
        except Exception as error:  # noqa: BLE001 - shown below
            seen.append(error)

    def read() -> None:
        with get_runner() as own:
            lines.extend(own.log_lines(handle, "main", 0, should_tail=True))

    threads = [threading.Thread(target=target) for target in (wait, read)]
    for thread in threads:
        thread.start()
    until(lambda: seen and lines)

    def end_meanwhile() -> None:
        (tmp_path / "go").touch()
        until(lambda: all(Path(f"{ended}{k}").exists() for k in range(replicas)))

    systems.restart(docker_system, between=end_meanwhile)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert seen[-1] == SUCCEEDED
    # what a container writes whose engine is away the engine reads later, unless the container has ended by then
    assert [x for x in lines if x != "last\n"] == ["ready\n"]


def test_an_engine_that_is_away_from_the_beginning_is_told_of_at_once(
    xrun_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    began = time.monotonic()
    with get_runner() as runner, pytest.raises(BackendUnavailable):
        runner.wait("docker://default/job-aaaaa")
    assert time.monotonic() - began < 3


# --- whose process it is -------------------------------------------------------------------------------------------

FORKED = """
import os, sys, threading
from xrun.runner import get_runner
with get_runner() as runner:
    state = runner.status(sys.argv[1]).state
    engine = runner._scheduler("docker", "default")._engine
    engine._lock.acquire()  # as a thread may have it that connects meanwhile
    pid = os.fork()
    if not pid:
        assert runner.status(sys.argv[1]).state == state
        os._exit(7)
    engine._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert runner.status(sys.argv[1]).state == state
"""

NOBODY = """
import os, sys
import docker, requests
from xrun.errors import XrunError
from xrun.schedulers.docker.client import Engine
with Engine().doing("ask its version") as api:
    api.version()
os.setgid(65534)
os.setuid(65534)
try:
    with Engine().doing("ask its version") as api:
        api.version()
except XrunError as error:
    print(type(error).__name__, error)
"""


def script(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_a_runner_goes_on_in_a_forked_child(runner: Runner) -> None:
    handle = run(runner, sh("exit 0"))
    ends(runner, handle, SUCCEEDED)
    script(FORKED, handle)


def test_no_permission_is_told_from_no_engine(docker_host: str) -> None:
    said = script(NOBODY).stdout
    assert said.startswith(f"BackendUnavailable no permission to use the docker engine at {docker_host}")
    assert said.count("\n") == 1
