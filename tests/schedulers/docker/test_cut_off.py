"""Cut off at any moment: the one who submits, the supervisor, the line to the engine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.docker.jobs import UNTIL_STOPPED, ends, left, reaches, run, sh, status, supervisors, until
from tests.systems.engine import CutLine, DockerSystem, docker
from xrun.errors import BackendError, BackendUnavailable
from xrun.runner import Runner, get_runner
from xrun.specs.app import AppDef
from xrun.specs.identity import make_app_id
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "20"))
FAILED, SUCCEEDED, CANCELLED = AppState.FAILED, AppState.SUCCEEDED, AppState.CANCELLED

SUBMIT = """
import sys
from tests.schedulers.docker.jobs import sh
from xrun.runner import get_runner
from xrun.specs.app import AppDef
with get_runner() as runner:
    print("ready", flush=True)
    sys.stdin.readline()
    app = AppDef("job", [sh("exit 0", num_replicas=int(sys.argv[2]))])
    print(runner.run(app, "docker", {"grace_period": 1}, request_id=sys.argv[1]))
"""


def is_gone(system: DockerSystem, app_id: str) -> bool:
    return not left(system, app_id)


def replicas_made(system: DockerSystem, handle: str) -> list[str]:
    """The names of all attempts, without what records the end and the network, which goes a moment after it."""
    app_id = handle.rpartition("/")[2]
    return [name for name in left(system, handle) if name not in (app_id, f"{app_id}.verdict")]


def is_none_or_whole(runner: Runner, system: DockerSystem, handle: str, replicas: int) -> bool:
    there = runner.status(handle)
    made = replicas_made(system, handle)
    return not made if there is None else len(made) == replicas


# --- the line ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 3])
@pytest.mark.parametrize("answered", [True, False], ids=["the answer is lost", "the request is lost"])
@pytest.mark.parametrize("words", ["/containers/create", "/start", "/networks/create"])
def test_a_line_that_is_cut_once(
    over_the_line: Runner, line: CutLine, docker_system: DockerSystem, words: str, answered: bool, replicas: int
) -> None:
    if words == "/networks/create" and replicas == 1:
        return
    line.cut(words, answered=answered)
    handle = run(over_the_line, sh("exit 0", num_replicas=replicas))
    assert line.cuts == 1
    ends(over_the_line, handle, SUCCEEDED)
    app_id = handle.rpartition("/")[2]
    made = replicas_made(docker_system, handle)
    assert made == [f"{app_id}-main-{k}" for k in range(replicas)]


def test_no_engine_at_all_is_one_line(xrun_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    words = [sys.executable, "-m", "xrun", "run", "-s", "docker", "utils.sh", "--image", "x", "true"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 8
    assert done.stderr.startswith("xrun: [XR121] the docker engine at unix://")
    assert done.stderr.count("\n") == 1


def test_a_status_of_a_hundred_apps_is_one_call(
    over_the_line: Runner, line: CutLine, docker_system: DockerSystem
) -> None:
    handles = [run(over_the_line, sh("exit 0")) for _ in range(3)]
    for handle in handles:
        ends(over_the_line, handle, SUCCEEDED)
    source = f"{handles[0].rpartition('/')[2]}-main-0"
    there = docker(
        docker_system, "inspect", "--format", "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}", source
    )
    labels = dict(text.split("=", 1) for text in there.decode().splitlines() if "=" in text)
    app_ids = [make_app_id("many", str(k)) for k in range(100)]

    def copy(app_id: str) -> None:
        own = {**labels, "xrun.dev/app-id": app_id, "xrun.dev/handle": f"docker://default/{app_id}"}
        flags = [word for name, text in own.items() for word in ("--label", f"{name}={text}")]
        docker(docker_system, "run", "--name", f"{app_id}-main-0", *flags, docker_system.image, "true")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(copy, app_ids))
    try:
        line.requests.clear()
        rows = [row for row in over_the_line.list("docker") if row.app_id in set(app_ids)]
        assert [row.state for row in rows] == [SUCCEEDED] * 100
        assert len(line.requests) == 1
    finally:
        docker(docker_system, "rm", "-f", *(f"{app_id}-main-0" for app_id in app_ids))


# --- the one who submits -------------------------------------------------------------------------------------------


def cut_off_submission(request_id: str, replicas: int, after: float) -> None:
    words = [sys.executable, "-c", SUBMIT, request_id, str(replicas)]
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(after)  # the moment is what is drawn
        process.send_signal(signal.SIGKILL)


def test_a_submitter_is_killed_at_any_moment(runner: Runner, docker_system: DockerSystem) -> None:
    chance = random.Random(5)
    for k in range(ROUNDS):
        request_id, replicas = f"killed {os.getpid()} {k}", 1 + k % 3
        app_id = make_app_id("job", request_id)
        handle = f"docker://default/{app_id}"
        cut_off_submission(request_id, replicas, chance.uniform(0.02, 0.8))
        # none or a whole one; the engine may still be at what it was asked for last, so the next command looks again
        until(partial(is_none_or_whole, runner, docker_system, handle, replicas))
        app = AppDef("job", [sh("exit 0", num_replicas=replicas)])
        assert runner.run(app, "docker", {"grace_period": 1}, request_id=request_id) == handle
        ends(runner, handle, SUCCEEDED)
        made = replicas_made(docker_system, handle)
        assert made == [f"{app_id}-main-{n}" for n in range(replicas)]


def test_networks_that_nobody_needs_are_removed_by_the_next_submission(
    runner: Runner, docker_system: DockerSystem
) -> None:
    docker(docker_system, "network", "create", "--label", "xrun.dev/app-id=gone-abcde", "gone-abcde")
    docker(docker_system, "network", "create", "xrun-not-ours")
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    networks = docker(docker_system, "network", "ls", "--format", "{{.Name}}").decode().split()
    assert {handle.rpartition("/")[2], "xrun-not-ours"} <= set(networks)
    assert "gone-abcde" not in networks
    runner.cancel(handle)
    docker(docker_system, "network", "rm", "xrun-not-ours")


def test_two_submit_the_same_at_once(runner: Runner, docker_system: DockerSystem) -> None:
    app = AppDef("job", [sh("exit 0", num_replicas=3)])

    def submit(_: int) -> str:
        with get_runner() as own:
            return str(own.run(app, "docker", {}, request_id=f"twice {os.getpid()}"))

    with ThreadPoolExecutor(4) as pool:
        (handle,) = set(pool.map(submit, range(4)))
    ends(runner, handle, SUCCEEDED)
    made = replicas_made(docker_system, handle)
    assert len(made) == 3


# --- the supervisor ------------------------------------------------------------------------------------------------


def test_a_supervisor_is_killed_at_any_moment(runner: Runner, docker_system: DockerSystem) -> None:
    chance = random.Random(6)
    script = 'sleep 0.3; [ "$XRUN_ATTEMPT" = 2 ]'
    for k in range(ROUNDS):
        policy = list(RetryPolicy)[k % 3]
        handle = run(runner, sh(script, num_replicas=2, max_retries=2, retry_policy=policy))
        app_id = handle.rpartition("/")[2]
        for _ in range(3):
            time.sleep(chance.uniform(0.0, 0.8))  # the moment is what is drawn
            for pid in supervisors(app_id):
                os.kill(pid, signal.SIGKILL)
            status(runner, handle)
        found = ends(runner, handle, SUCCEEDED)
        made = replicas_made(docker_system, handle)
        assert len(made) == 6  # three attempts of each, whatever the policy
        assert [r.attempt for r in found.roles[0].replicas] == [2, 2]


def test_a_cancel_whose_supervisor_is_killed_goes_on(runner: Runner) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    reaches(runner, handle, "ready")
    app_id = handle.rpartition("/")[2]
    for pid in until(lambda: supervisors(app_id)):
        os.kill(pid, signal.SIGKILL)
    runner.cancel(handle)
    ends(runner, handle, CANCELLED)
    until(lambda: not supervisors(app_id))


def test_nothing_is_left_in_the_home(runner: Runner, xrun_home: Path) -> None:
    for replicas in (1, 2):
        ends(runner, run(runner, sh("exit 0", num_replicas=replicas)), SUCCEEDED)
    until(lambda: not list((xrun_home / "docker").iterdir()))


# --- GPUs ----------------------------------------------------------------------------------------------------------


def gpu_labels(system: DockerSystem, handle: str) -> list[str]:
    only = ("--filter", f"label=xrun.dev/app-id={handle.rpartition('/')[2]}", "--filter", "label=xrun.dev/gpus")
    texts = docker(system, "ps", "-a", *only, "--format", '{{.Label "xrun.dev/gpus"}}').decode()
    return sorted(texts.split())


def asking(gpus: int, script: str = UNTIL_STOPPED, **fields: Any) -> Any:
    return sh(script, resource=Resource(gpu=gpus), **fields)


def test_each_replica_has_gpus_of_its_own(runner: Runner) -> None:
    handle = run(runner, asking(2, "echo $CUDA_VISIBLE_DEVICES", num_replicas=3), gpus=8)
    ends(runner, handle, SUCCEEDED)
    lines = [next(iter(runner.log_lines(handle, "main", k))).strip() for k in range(3)]
    devices = [device for line in lines for device in line.split(",")]
    assert len(devices) == len(set(devices)) == 6


def test_gpus_of_a_job_that_runs_are_taken_and_free_at_its_end(runner: Runner) -> None:
    first = run(runner, asking(2), gpus=3)
    with pytest.raises(BackendError, match="1 of 3 are free; job-") as busy:
        run(runner, asking(2), gpus=3)
    assert busy.value.code == "XR128"
    second = run(runner, asking(1, "echo $CUDA_VISIBLE_DEVICES"), gpus=3)
    ends(runner, second, SUCCEEDED)
    assert list(runner.log_lines(second, "main", 0)) == ["2\n"]
    runner.cancel(first)
    third = run(runner, asking(3, "exit 0"), gpus=3)
    ends(runner, third, SUCCEEDED)


def test_more_gpus_than_there_are(runner: Runner) -> None:
    with pytest.raises(BackendError, match="asks for 4 GPUs and there are 3"):
        run(runner, asking(2, num_replicas=2), gpus=3)


def test_a_retry_keeps_its_gpus(runner: Runner) -> None:
    script = 'echo $CUDA_VISIBLE_DEVICES; [ "$XRUN_ATTEMPT" = 1 ]'
    handle = run(runner, asking(1, script, max_retries=1), gpus=1)
    ends(runner, handle, SUCCEEDED)
    assert list(runner.log_lines(handle, "main", 0)) == ["0\n", "0\n"]


def test_many_submit_at_once_and_no_gpu_is_given_twice(runner: Runner, docker_system: DockerSystem) -> None:
    def submit(k: int) -> str:
        with get_runner() as own:
            return run(own, asking(1, num_replicas=1 + k % 2), gpus=6)

    with ThreadPoolExecutor(4) as pool:
        handles = list(pool.map(submit, range(4)))
    devices = [d for handle in handles for text in gpu_labels(docker_system, handle) for d in text.split(",")]
    assert sorted(devices) == list("012345")
    for handle in handles:
        runner.cancel(handle)


def test_real_gpus_need_the_engines_runtime(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, fake_nvidia_smi: Callable[[int], None]
) -> None:
    fake_nvidia_smi(2)
    with pytest.raises(BackendError, match="no runtime named nvidia") as refused:
        run(runner, asking(1))
    assert refused.value.code == "XR130"


@pytest.fixture
def fake_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def make(count: int) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\nseq 0 {count - 1}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return make


def test_an_engine_that_never_comes_back_is_told_of(
    over_the_line: Runner, line: CutLine, docker_system: DockerSystem, sockets_forgotten: None
) -> None:
    handle = run(over_the_line, sh("exit 0"))
    line.close()
    with pytest.raises(BackendUnavailable):
        over_the_line.status(handle)
