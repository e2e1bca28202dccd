"""What goes wrong on a real engine, and what is said about it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.schedulers.docker.jobs import IGNORES_TERM, UNTIL_STOPPED, ends, left, reaches, run, sh, status, until
from tests.systems import engine as systems
from tests.systems.engine import DockerSystem, docker
from xrun.errors import BackendError, BackendUnavailable
from xrun.runner import Runner, get_runner
from xrun.specs.mounts import BindMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

FAILED, SUCCEEDED, CANCELLED = AppState.FAILED, AppState.SUCCEEDED, AppState.CANCELLED


# --- programs that end badly, or never begin -----------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [1, 2])
def test_out_of_memory(runner: Runner, replicas: int) -> None:
    handle = run(runner, sh("exec tail /dev/zero", num_replicas=replicas, resource=Resource(memMB=24)))
    found = ends(runner, handle, FAILED)
    assert "SIGKILL: out of memory: it was killed at the limit of 24 MiB (memMB)" in found.msg


def test_out_of_memory_of_a_child(runner: Runner) -> None:
    found = ends(runner, run(runner, sh("tail /dev/zero; exit 5", resource=Resource(memMB=24))), FAILED)
    assert "exit 5: out of memory: one of its processes was killed at the limit of 24 MiB (memMB)" in found.msg


def test_success_in_spite_of_a_child_that_was_out_of_memory(runner: Runner) -> None:
    found = ends(runner, run(runner, sh("tail /dev/zero; exit 0", resource=Resource(memMB=24))), SUCCEEDED)
    assert found.roles[0].replicas[0].state == SUCCEEDED


@pytest.mark.parametrize("code", [1, 125, 126, 127, 128, 255])
def test_a_programs_own_exit_code(runner: Runner, code: int) -> None:
    found = ends(runner, run(runner, sh(f"echo why >&2; exit {code}")), FAILED)
    assert found.msg == f"main/0 failed: exit {code}: why"


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    ("program", "code", "reason"),
    [("nosuch", 127, "can't start nosuch: "), ("/etc/passwd", 126, "can't start /etc/passwd: ")],
)
def test_what_cannot_be_started(
    runner: Runner, program: str, code: int, reason: str, replicas: int, init: bool
) -> None:
    handle = run(runner, sh("", entrypoint=program, args=[], num_replicas=replicas), init=init)
    found = ends(runner, handle, FAILED)
    assert f"failed: exit {code}: {reason}" in found.msg
    assert "OCI" not in found.msg


def test_a_user_that_is_not_in_the_image(runner: Runner) -> None:
    found = ends(runner, run(runner, sh("exit 0"), user="nosuch"), FAILED)
    assert "unable to find user nosuch" in found.msg


def test_an_error_file_that_is_none(runner: Runner) -> None:
    for made in ("ln -s /nowhere", "mkdir", "dd if=/dev/zero bs=1M count=300 of=", "mkfifo"):
        arrow = "" if made.endswith("=") else " "
        script = f'{made}{arrow}"$XRUN_ERROR_FILE" 2>/dev/null; echo why >&2; exit 3'
        found = ends(runner, run(runner, sh(script)), FAILED)
        assert "exit 3" in found.msg


def test_an_image_that_is_not_there(runner: Runner, docker_system: DockerSystem) -> None:
    before = docker(docker_system, "ps", "-aq")
    with pytest.raises((BackendError, BackendUnavailable), match="nosuch"):
        run(runner, sh("true", image=f"{docker_system.registry}/nosuch:1"))
    assert docker(docker_system, "ps", "-aq") == before


def test_a_mount_without_a_source_leaves_nothing(runner: Runner, docker_system: DockerSystem, tmp_path: Path) -> None:
    fine, wrong = sh("true"), sh("true", "wrong", mounts=[BindMount(str(tmp_path / "none"), "/mnt")])
    before = docker(docker_system, "ps", "-aq")
    for roles in ([fine, wrong], [wrong, fine]):
        with pytest.raises(BackendError, match="source path does not exist"):
            run(runner, *roles)
        assert docker(docker_system, "ps", "-aq") == before
        assert not docker(docker_system, "network", "ls", "-q", "--filter", "label=xrun.dev/app-id")


# --- what somebody else does to it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1])
def test_a_replica_is_removed_by_somebody(runner: Runner, docker_system: DockerSystem, k: int) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    reaches(runner, handle, "ready", k=0)
    docker(docker_system, "rm", "-f", f"{handle.rpartition('/')[2]}-main-{k}")
    found = ends(runner, handle, FAILED)
    assert "somebody removed it" in found.msg


def test_the_only_replica_is_removed_by_somebody(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    docker(docker_system, "rm", "-f", f"{handle.rpartition('/')[2]}-main-0")
    assert runner.status(handle) is None


def test_docker_stop_is_an_end_like_any_other_and_is_named(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh("trap 'exit 4' TERM; echo ready; sleep 100 & wait", num_replicas=2))
    reaches(runner, handle, "ready", k=1)
    docker(docker_system, "stop", f"{handle.rpartition('/')[2]}-main-1")
    assert ends(runner, handle, FAILED).msg == (
        "main/1 failed: exit 4: somebody sent it SIGTERM, as docker stop and docker kill do"
    )


def test_a_paused_container_can_be_cancelled(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    docker(docker_system, "pause", f"{handle.rpartition('/')[2]}-main-0")
    assert status(runner, handle).state == AppState.RUNNING
    runner.cancel(handle)
    ends(runner, handle, CANCELLED)


def test_the_image_is_taken_away_between_two_attempts(runner: Runner, docker_system: DockerSystem) -> None:
    docker(docker_system, "tag", docker_system.image, "xrun-gone:1")
    script = 'if [ "$XRUN_ATTEMPT" = 0 ]; then echo ready; sleep 1; exit 3; fi'
    handle = run(runner, sh(script, image="xrun-gone:1", max_retries=1))
    docker(docker_system, "rmi", "xrun-gone:1")
    assert ends(runner, handle, SUCCEEDED).num_restarts == 1


def test_old_attempts_are_pruned(runner: Runner, docker_system: DockerSystem) -> None:
    script = 'if [ "$XRUN_ATTEMPT" = 0 ]; then exit 3; fi; trap "exit 0" TERM; echo ready; sleep 100 & wait'
    handle = run(runner, sh(script, max_retries=1))
    reaches(runner, handle, "ready")
    docker(docker_system, "container", "prune", "--force")
    found = status(runner, handle)
    assert (found.state, found.num_restarts) == (AppState.RUNNING, 1)
    runner.cancel(handle)
    ends(runner, handle, CANCELLED)


def test_containers_of_others_and_damaged_labels(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh("exit 0", num_replicas=2))
    ends(runner, handle, SUCCEEDED)
    made = [
        {},
        {"xrun.dev/app-id": "x-aaaaa"},
        {"xrun.dev/app-id": "x-bbbbb", "xrun.dev/role": "0:a", "xrun.dev/replica": "0", "xrun.dev/restarts": "[0,0]"},
        {"xrun.dev/app-id": "x-ccccc", "xrun.dev/role": "0:a", "xrun.dev/replica": "0", "xrun.dev/restarts": "[0,0,0]"},
        {"xrun.dev/app-id": "x-ddddd", "xrun.dev/verdict": '["SUCCEEDED","",[9,9],1]'},
    ]
    made.append({**made[3], "xrun.dev/spec": "{", "xrun.dev/options": "[]", "xrun.dev/submitted": "soon"})
    names = []
    for k, labels in enumerate(made):
        flags = [word for name, text in labels.items() for word in ("--label", f"{name}={text}")]
        names.append(f"other-{k}")
        docker(docker_system, "create", "--name", names[-1], *flags, docker_system.image, "true")
    try:
        assert handle in {row["app_handle"] if isinstance(row, dict) else row.handle for row in runner.list("docker")}
        for app_id in ("x-aaaaa", "x-bbbbb", "x-ccccc", "x-ddddd"):
            runner.status(f"docker://default/{app_id}")
    finally:
        docker(docker_system, "rm", "-f", "other-0", *_there(docker_system, names[1:]))
    assert status(runner, handle).state == SUCCEEDED


def _there(system: DockerSystem, names: list[str]) -> list[str]:
    """Those that were not removed as the rest of a submission."""
    return sorted(set(docker(system, "ps", "-a", "--format", "{{.Names}}").decode().split()) & set(names))


# --- stopping ------------------------------------------------------------------------------------------------------


def test_two_cancel_at_once(runner: Runner, docker_host: str) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    reaches(runner, handle, "ready")
    errors: list[Exception] = []

    def cancel() -> None:
        try:
            with get_runner() as own:
                own.cancel(handle)
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=cancel) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert status(runner, handle).msg == "cancelled"


def test_delete_while_it_starts(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=3))
    runner.delete(handle)
    assert runner.status(handle) is None
    until(lambda: not left(docker_system, handle))


def test_a_cancel_of_eight_takes_one_grace_period(runner: Runner) -> None:
    handle = run(runner, sh(IGNORES_TERM, num_replicas=8), grace_period=4)
    for k in range(8):
        reaches(runner, handle, "ready", k=k)
    began = time.monotonic()
    runner.cancel(handle)
    ends(runner, handle, CANCELLED)
    assert 3.9 < time.monotonic() - began < 7


# --- volumes and ports ---------------------------------------------------------------------------------------------


def test_delete_removes_the_volumes_that_were_made(runner: Runner, docker_system: DockerSystem) -> None:
    docker(docker_system, "volume", "create", "xrun-kept")
    mounts = [VolumeMount("xrun-made", "/a"), VolumeMount("xrun-kept", "/b")]
    handle = run(runner, sh("touch /a/x /b/x", mounts=mounts))
    ends(runner, handle, SUCCEEDED)
    runner.delete(handle)
    assert docker(docker_system, "volume", "ls", "-q", "--filter", "name=xrun-").split() == [b"xrun-kept"]
    docker(docker_system, "volume", "rm", "xrun-kept")


def test_a_volume_goes_with_the_last_who_uses_it(runner: Runner, docker_system: DockerSystem) -> None:
    maker, user = (run(runner, sh("ls /m", mounts=[VolumeMount("xrun-shared", "/m")])) for _ in range(2))
    for handle in (maker, user):
        ends(runner, handle, SUCCEEDED)
    runner.delete(maker)
    assert docker(docker_system, "volume", "ls", "-q", "--filter", "name=xrun-shared")
    runner.delete(user)
    assert not docker(docker_system, "volume", "ls", "-q", "--filter", "name=xrun-shared")


def test_a_name_that_another_container_has_fails_the_app(runner: Runner, docker_system: DockerSystem) -> None:
    script = "[ $XRUN_ATTEMPT = 1 ] || { echo ready; sleep 3; exit 1; }"
    handle = run(runner, sh(script, num_replicas=2, max_retries=1))
    reaches(runner, handle, "ready")
    taken = f"{handle.rpartition('/')[2]}-main-0.1"
    docker(docker_system, "create", "--name", taken, docker_system.image, "sh")
    assert f"docker rm -f {taken}" in ends(runner, handle, FAILED).msg
    docker(docker_system, "rm", taken)


def test_published_ports_are_shown(runner: Runner) -> None:
    serves = "echo ready; exec nc -l -p 8080 -e echo hello"
    handle = run(runner, sh(serves, port_map={"http": 8080}), publish=True)
    endpoint = until(lambda: status(runner, handle).roles[0].replicas[0].endpoints.get("http"))
    host, _, port = endpoint.partition(":")
    assert host == "localhost"

    def answer() -> str:
        # it is shown when the container runs, a moment before anybody listens there
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=10) as connection:
            return connection.makefile().read()
        return ""

    assert until(answer) == "hello\n"
    runner.cancel(handle)


def test_retries_can_be_as_many_as_allowed_of_each_replica(runner: Runner) -> None:
    role = sh("exit 3", num_replicas=3, max_retries=1, retry_policy=RetryPolicy.REPLICA, min_replicas=2)
    found = ends(runner, run(runner, role), FAILED)
    assert found.num_restarts <= 3
    assert "exit 3 after 2 attempts" in found.msg


# --- the engine goes away ------------------------------------------------------------------------------------------


# the SDK leaves a socket unclosed each time that nobody answers
@pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.usefixtures("sockets_forgotten")
def test_an_engine_restarts_and_all_goes_on(runner: Runner, docker_system: DockerSystem) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; echo err $i >&2; i=$((i+1)); sleep 0.02; done"
    handle = run(runner, sh(script, num_replicas=2))
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(runner.log_lines(handle, "main", 0, should_tail=True)))
    reader.start()
    until(lambda: len(lines) > 50)
    systems.restart(docker_system)
    ends(runner, handle, SUCCEEDED)
    reader.join(60)
    assert sorted(lines) == sorted([f"line {i}\n" for i in range(300)] + [f"err {i}\n" for i in range(300)])
    assert [x for x in lines if x.startswith("line")] == [f"line {i}\n" for i in range(300)]


@pytest.mark.usefixtures("sockets_forgotten")
def test_an_engine_without_live_restore_ends_the_job(runner: Runner, docker_system: DockerSystem) -> None:
    systems.restart(docker_system, live=False)
    try:
        handles = [run(runner, sh("echo ready; exec sleep 100", num_replicas=n)) for n in (1, 2)]
        for handle in handles:
            reaches(runner, handle, "ready")
        systems.restart(docker_system, live=False)
        for handle in handles:
            assert "the engine was stopped or restarted" in ends(runner, handle, FAILED).msg
    finally:
        systems.restart(docker_system)
