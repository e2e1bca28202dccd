"""What each option, resource and mount comes to inside a container, on a real engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import xrun
from tests.schedulers.docker.jobs import UNTIL_STOPPED, ends, run, sh, status, until
from tests.systems.engine import IMAGE, DockerSystem, docker
from xrun.errors import BackendError, BackendUnavailable, InvalidValue
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(120)]

# version 1 of control groups, version 2, whichever this machine has
LIMIT = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
SHARE = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max | cut -d' ' -f1"


def says(runner: Runner, script: str, options: dict[str, Any] | None = None, **fields: Any) -> list[str]:
    """The lines of a script that succeeds in a container."""
    handle = run(runner, sh(script, **fields), **(options or {}))
    ends(runner, handle, AppState.SUCCEEDED)
    lines = [line.rstrip("\n") for line in runner.log_lines(handle, "main")]
    runner.delete(handle)
    return lines


# --- the environment -----------------------------------------------------------------------------------------------


def test_variables_come_from_the_launcher_the_options_and_the_role(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NCCL_DEBUG", "copied")
    monkeypatch.setenv("NCCL_IB_HCA", "copied =\n$x 'é'")
    monkeypatch.setenv("OTHER", "stays here")
    script = 'echo "$NCCL_DEBUG,$A,$B,${OTHER-unset}"; echo "$NCCL_IB_HCA"'
    options = {"copy_env": ["NCCL_*"], "env": {"A": "options", "B": "options", "NCCL_DEBUG": "options"}}
    assert says(runner, script, options, env={"B": "role"}) == [
        "options,options,role,unset",
        "copied =",
        "$x 'é'",
    ]


def test_a_copied_variable_that_docker_would_damage_is_refused(
    docker_host: str, xrun_home: Path, tmp_path: Path
) -> None:
    words = ["-s", "docker", "-cfg", f"image={IMAGE},copy_env=ODD", "utils.echo"]
    done = subprocess.run(
        [sys.executable, "-m", "xrun", *words], env={**_bytes_environ(), b"ODD": b"a\xff"}, capture_output=True
    )
    assert done.returncode == 2, done.stderr
    assert b"ODD is not UTF-8" in done.stderr


# --- how programs run ----------------------------------------------------------------------------------------------


def test_who_runs_it(runner: Runner) -> None:
    assert says(runner, "id -u") == ["0"]
    assert says(runner, "id -u; id -g", {"user": "nobody:7"}) == ["65534", "7"]


def test_privileged_is_said_to_the_engine(runner: Runner, docker_system: DockerSystem) -> None:
    # whether it starts is up to this machine, which may lack some itself
    for privileged in (False, True):
        handle = run(runner, sh("true"), privileged=privileged)
        found = docker(docker_system, "inspect", "--format", "{{.HostConfig.Privileged}}", _first_container(handle))
        assert found == f"{privileged}\n".lower().encode()
        runner.delete(handle)


def test_process_1_is_an_init_unless_told_otherwise(runner: Runner) -> None:
    script = "cat /proc/1/comm; true"
    assert "init" in says(runner, script)[0]
    assert says(runner, script, {"init": False}) == ["sh"]


def test_the_images_entrypoint(runner: Runner, docker_system: DockerSystem) -> None:
    made = docker(docker_system, "create", IMAGE, "true").decode().strip()
    entry = 'ENTRYPOINT ["sh", "-c", "echo through it; exec \\"$@\\"", "sh"]'
    docker(docker_system, "commit", "--change", entry, made, "xrun-entry:1")
    docker(docker_system, "rm", made)
    assert says(runner, "echo ran", image="xrun-entry:1") == ["ran"]
    assert says(runner, "echo ran", {"image_entrypoint": True}, image="xrun-entry:1") == ["through it", "ran"]


@pytest.mark.parametrize("pull", ["never", "missing"])
def test_an_image_that_is_here_is_used_as_it_is(runner: Runner, pull: str) -> None:
    assert says(runner, "echo ran", {"pull": pull}) == ["ran"]


def test_an_image_that_may_not_be_pulled(runner: Runner, docker_system: DockerSystem) -> None:
    with pytest.raises(BackendError, match="XR125|pull"):
        run(runner, sh("true", image=f"{docker_system.registry}/absent:1"), pull="never")


# --- limits --------------------------------------------------------------------------------------------------------


def test_cpu_and_memory_as_the_program_sees_them(runner: Runner) -> None:
    script = f"{LIMIT}; {SHARE}; df -m /dev/shm | tail -n 1 | awk '{{print $2}}'"
    resource = Resource(cpu=0.5, gpu=0, memMB=64)
    assert says(runner, script, resource=resource) == [str(64 << 20), "50000", "64"]
    assert says(runner, script, {"shm_mb": 16}, resource=resource)[2] == "16"


def test_less_of_a_cpu_than_the_kernel_counts_is_rounded(runner: Runner) -> None:
    tiny = sh(SHARE, resource=Resource(cpu=0.001, gpu=0, memMB=-1))
    info = runner.dryrun(AppDef("job", [tiny]), "docker")
    assert info.notices == ["main: cpu 0.001 is rounded to 0.01, the least that there is"]
    assert says(runner, SHARE, resource=tiny.resource) == ["1000"]


# --- mounts --------------------------------------------------------------------------------------------------------


def test_mounts_of_all_three_kinds(runner: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "a, b='c'"
    folder.mkdir()
    (folder / "in").write_text("from the host\n")
    mounts = [
        BindMount(str(folder), "/rw"),
        BindMount(str(folder), "/ro dir", read_only=True),
        VolumeMount("xrun-vol", "/vol"),
        DeviceMount("/dev/loop-control", "/dev/mine", "r"),
    ]
    script = """
        cat '/ro dir/in'
        echo back > /rw/out
        (echo x > '/ro dir/out') 2>/dev/null || echo read only
        echo kept > /vol/x
        [ -c /dev/mine ] && echo device
        : < /dev/mine && echo may be read
        (echo x > /dev/mine) 2>/dev/null || echo may not be written
    """
    lines = says(runner, script, mounts=mounts)
    assert lines == ["from the host", "read only", "device", "may be read", "may not be written"]
    assert (folder / "out").read_text() == "back\n"


def test_replicas_share_a_volume_that_was_made_for_them(runner: Runner) -> None:
    script = "touch /v/$XRUN_REPLICA_ID; until [ -e /v/0 ] && [ -e /v/1 ]; do sleep 0.1; done"
    handle = run(runner, sh(script, num_replicas=2, mounts=[VolumeMount("xrun-both", "/v")]))
    ends(runner, handle, AppState.SUCCEEDED)
    runner.delete(handle)


# --- ports ---------------------------------------------------------------------------------------------------------


def test_a_published_port_answers_and_is_shown(runner: Runner) -> None:
    serves = "while :; do echo hello from $XRUN_REPLICA_ID | nc -l -p 8080; done"
    handle = run(runner, sh(serves, num_replicas=2, port_map={"http": 8080}), publish=True)
    until(lambda: all(replica.endpoints for replica in status(runner, handle).roles[0].replicas))
    shown = xrun("status", handle).stdout.splitlines()
    for replica in status(runner, handle).roles[0].replicas:
        assert f"endpoint: main/{replica.id} http={replica.endpoints['http']}" in shown
        port = int(replica.endpoints["http"].removeprefix("localhost:"))
        assert until(partial(_answer, port)) == f"hello from {replica.id}\n".encode()
    runner.cancel(handle)
    assert not any(replica.endpoints for replica in status(runner, handle).roles[0].replicas)


def test_nothing_is_published_unasked(runner: Runner, docker_system: DockerSystem) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, port_map={"http": 8080}))
    until(lambda: status(runner, handle).state is AppState.RUNNING)
    assert b"->" not in docker(docker_system, "ps", "--format", "{{.Ports}}")
    assert status(runner, handle).roles[0].replicas[0].endpoints == {}
    runner.delete(handle)


# --- which engine --------------------------------------------------------------------------------------------------


def test_a_profile_fixes_the_engine(docker_system: DockerSystem, tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text(
        f'[profiles.lab.schedulers.docker]\nhost = "{docker_system.host}"\nimage = "{IMAGE}"\n'
    )
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nobody"}
    words = ("-s", "docker", "--profile", "lab", "--wait", "utils.sh", "--", "echo from the lab")
    done = xrun(*words, cwd=tmp_path, env=nowhere)
    assert done.returncode == 0, done.stderr
    handle = done.stdout.strip()
    assert handle.startswith("docker://lab/sh-")
    assert "SUCCEEDED" in xrun("status", handle, cwd=tmp_path, env=nowhere).stdout
    assert xrun("log", handle, cwd=tmp_path, env=nowhere).stdout == "from the lab\n"
    assert xrun("delete", handle, cwd=tmp_path, env=nowhere).returncode == 0


@pytest.mark.usefixtures("sockets_forgotten")
def test_an_engine_of_one_command_alone_is_refused(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises((InvalidValue, BackendUnavailable), match="profile"):
        run(runner, sh("true"), host=f"unix://{tmp_path}/other")


def _first_container(handle: str) -> str:
    return f"{handle.rpartition('/')[2]}-main-0"


def _answer(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.settimeout(5)
            return line.recv(100)
    except OSError:
        return b""


def _bytes_environ() -> dict[bytes, bytes]:
    return dict(os.environb)
