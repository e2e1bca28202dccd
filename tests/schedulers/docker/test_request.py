"""What is asked of the engine, and the script that asks the same by hand."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.schedulers.docker.jobs import sh
from tests.systems.engine import IMAGE, DockerSystem, docker
from xrun.errors import InvalidJob, InvalidValue
from xrun.schedulers.docker import gpus, labels, request
from xrun.schedulers.docker.request import DockerOptions, DockerRequest
from xrun.specs.app import AppDef
from xrun.specs.identity import MAX_APP_ID, make_app_id
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import Role
from xrun.specs.validation import validate
from xrun.testing.hostile import HOSTILE

GOLDEN = Path(__file__).parents[2] / "golden"
HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def built(*roles: Role, app_id: str = "job-abcde", **options: Any) -> DockerRequest:
    return request.build(AppDef("job", list(roles)), DockerOptions(**options), app_id, f"docker://default/{app_id}")


def host_config(role: Role, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = request.container(built(role, **options), 0, 0)["HostConfig"]
    return found


# --- the request ---------------------------------------------------------------------------------------------------


def test_resources() -> None:
    config = host_config(sh("x", resource=Resource(cpu=1.5, memMB=64)))
    assert (config["NanoCpus"], config["Memory"], config["MemorySwap"]) == (1_500_000_000, 64 << 20, 64 << 20)
    assert config["ShmSize"] == 64 << 20
    nothing = host_config(sh("x"))
    assert not {"NanoCpus", "Memory", "ShmSize", "NetworkMode"} & set(nothing)


def test_mounts() -> None:
    mounts = [
        BindMount("/data/${app_id}", "/in", read_only=True),
        VolumeMount("cache", "/cache"),
        DeviceMount("/dev/fuse", "/dev/fuse0", "rw"),
    ]
    config = host_config(sh("x", mounts=mounts))
    assert config["Mounts"] == [
        {"Type": "bind", "Source": "/data/job-abcde", "Target": "/in", "ReadOnly": True},
        {
            "Type": "volume",
            "Source": "cache",
            "Target": "/cache",
            "ReadOnly": False,
            "VolumeOptions": {"Labels": {"xrun.dev/app-id": "job-abcde"}},
        },
    ]
    assert config["Devices"] == [
        {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse0", "CgroupPermissions": "rw"}
    ]


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("vpc.amazonaws.com/efa", ["/dev/infiniband/rdma_cm", "/dev/infiniband/uverbs0", "/dev/infiniband/uverbs1"]),
        ("aws.amazon.com/neurondevice", ["/dev/neuron0", "/dev/neuron1"]),
    ],
)
def test_devices(name: str, paths: list[str]) -> None:
    devices = host_config(sh("x", resource=Resource(devices={name: 2})))["Devices"]
    assert [d["PathOnHost"] for d in devices] == paths


def test_macros() -> None:
    role = sh(
        "${app_id} ${replica_id} ${num_replicas} $${app_id} $HOME ${rank0_env}",
        num_replicas=2,
        env={"A": "${replica_id} $${x}", "B": "${app_id}"},
    )
    config = request.container(built(role), 0, 1)
    assert config["Cmd"][1] == "job-abcde 1 2 ${app_id} $HOME XRUN_RANK0_HOST"
    env = dict(pair.split("=", 1) for pair in config["Env"])
    assert (env["A"], env["B"], env["XRUN_RANK0_HOST"]) == ("1 $${x}", "job-abcde", "job-abcde-main-0")
    assert config["Hostname"] == "job-abcde-main-1"


def test_options() -> None:
    one = sh("x", env={"A": "role"}, port_map={"http": 80})
    config = request.container(
        built(
            one,
            env={"A": "options", "B": "options"},
            user="nobody",
            privileged=True,
            init=False,
            image_entrypoint=True,
            shm_mb=7,
            publish=True,
        ),
        0,
        0,
    )
    assert {"A=role", "B=options"} <= set(config["Env"])
    assert config["Cmd"] == ["sh", "-c", "x"]
    assert "Entrypoint" not in config
    assert config["User"] == "nobody"
    assert config["ExposedPorts"] == {"80/tcp": {}}
    host = config["HostConfig"]
    assert (host["Privileged"], host["Init"], host["ShmSize"]) == (True, False, 7 << 20)
    assert host["PortBindings"] == {"80/tcp": [{"HostPort": ""}]}


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({"": "x"}, "XR011"),
        ({"A=B": "x"}, "XR011"),
        ({"A\0": "x"}, "XR011"),
        ({"XRUN_ROLE": "x"}, "XR012"),
        ({"A": "\0"}, "XR022"),
        ({"A": "\udcff"}, "XR023"),
        ({"A": "x" * 200_000}, "XR024"),
    ],
)
def test_variables_of_the_options_are_checked_as_a_roles_are(env: dict[str, str], code: str) -> None:
    with pytest.raises(InvalidJob, match=code) as refused:
        built(sh("x"), env=env)
    assert refused.value.problems[0].path.startswith("options.env")


def test_variables_of_the_options_have_no_macros() -> None:
    job = built(sh("x", env={"B": "${app_id}"}), env={"A": "${app_id} $${app_id}", "B": "not this"})
    assert "A=${app_id} $${app_id}" in request.container(job, 0, 0)["Env"]
    script = request.render(job)
    assert "-e 'A=${app_id} $${app_id}'" in script or "-e A='${app_id} $${app_id}'" in script
    assert "B=job-abcde " in script


@pytest.mark.parametrize("wrong", [{"shm_mb": -1}, {"gpus": -2}])
def test_numbers_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="less than"):
        built(sh("x"), **wrong)


def test_what_is_rounded_or_left_out_is_said() -> None:
    devices = {"example.com/fpga": 1, "aws.amazon.com/neurondevice": 1}
    job = built(sh("x", resource=Resource(cpu=0.001, gpu=0, memMB=64, devices=devices)))
    assert request.host_config(job, job.app.roles[0])["NanoCpus"] == 10_000_000
    rounded, left_out = request.notices(job)
    assert "rounded to 0.01" in rounded
    assert "example.com/fpga" in left_out


def test_a_repository_that_nothing_is_pushed_to_is_said() -> None:
    (said,) = request.notices(built(sh("x"), image_repo="registry:5000/jobs"))
    assert "image_repo 'registry:5000/jobs' is not used" in said


def test_an_image_is_needed() -> None:
    with pytest.raises(InvalidJob) as refused:
        built(sh("x", image=""))
    assert [p.code for p in refused.value.problems] == ["XR124"]
    assert request.image_of(built(sh("x", image=""), image="i:1"), sh("x", image="")) == "i:1"


@pytest.mark.parametrize(
    ("job", "supervised"),
    [
        (built(sh("x")), False),
        (built(sh("x", num_replicas=2)), True),
        (built(sh("x"), sh("y", "b")), True),
        (built(sh("x", max_retries=1)), True),
        (built(sh("x"), max_runtime=5.0), True),
    ],
)
def test_who_needs_a_supervisor(job: DockerRequest, supervised: bool) -> None:
    assert job.is_supervised == supervised


# --- names ---------------------------------------------------------------------------------------------------------

ROLE_NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.lists(ROLE_NAMES, min_size=1, max_size=4, unique=True), st.integers(0, 99_999))
def test_names_are_legal_and_no_two_the_same(app: str, names: list[str], k: int) -> None:
    assume(not validate(AppDef("job", [sh("x", name) for name in names])))
    app_id = make_app_id(app, "request")
    assert len(app_id) <= MAX_APP_ID
    hosts = [labels.host_name(app_id, name, n) for name in names for n in (0, k + 1)]
    assert all(HOST.fullmatch(host) for host in hosts)
    assert len(set(hosts)) == len(hosts)
    made = [labels.container_name(app_id, name, n, a) for name in names for n in (0, k + 1) for a in (0, 1, 10)]
    assert all(CONTAINER.fullmatch(name) for name in [*made, labels.verdict_name(app_id)])
    assert len({*made, labels.verdict_name(app_id)}) == len(made) + 1


def test_roles_that_differ_in_punctuation_have_hosts_of_their_own() -> None:
    assert labels.host_name("a-12345", "a-b", 0) != labels.host_name("a-12345", "a--b", 0)


# --- the script ----------------------------------------------------------------------------------------------------


def everything() -> DockerRequest:
    trainer = sh(
        'echo "${app_id} ${replica_id} $1"',
        "trainer",
        args=["-c", 'echo "${app_id} ${replica_id} $1"', "sh", "it's ${num_replicas}", "${replica_id}"],
        num_replicas=2,
        env={"A": "a 'b' ${replica_id}", "EMPTY": ""},
        secrets={"TOKEN": "env:MY_TOKEN", "KEY": "file:/etc/my key"},
        resource=Resource(cpu=0.5, memMB=64, devices={"aws.amazon.com/neurondevice": 1}),
        mounts=[BindMount("/a,b", "/mnt", read_only=True), VolumeMount("cache", "/cache")],
        port_map={"http": 8080},
    )
    other = sh("exit 0", "other", primary=False)
    return built(trainer, other, publish=True, user="nobody", env={"LITERAL": "${app_id}"})


def test_the_script_is_the_golden_one() -> None:
    text, golden = request.render(everything()), GOLDEN / "docker_render.sh"
    if os.environ.get("XRUN_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    subprocess.run(["sh", "-n"], input=text.encode(), check=True, timeout=20)


def test_one_block_however_many_replicas() -> None:
    assert len(request.render(built(sh("x", num_replicas=1000)))) < 3000


@pytest.mark.xdist_group("docker")
def test_the_script_makes_the_same_containers(docker_system: DockerSystem, tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    (tmp_path / "key").write_text("sec ret")
    script = 'echo "$A|$LITERAL|$TOKEN|$KEY|$XRUN_REPLICA_ID|$1|$2"'
    role = sh(
        script,
        args=["-c", script, "sh", "it's ${num_replicas}", "${replica_id}"],
        num_replicas=2,
        env={"A": "a 'b' ${replica_id}"},
        secrets={"TOKEN": "env:MY_TOKEN", "KEY": f"file:{tmp_path}/key"},
        resource=Resource(cpu=0.5, memMB=64),
        mounts=[BindMount(f"{tmp_path}/a,b", "/mnt", read_only=True), VolumeMount("by-hand", "/cache")],
        port_map={"http": 8080},
    )
    asked = built(role, app_id="hand-abcde", publish=True, env={"LITERAL": "${app_id}"})
    env = {**os.environ, "DOCKER_HOST": docker_system.host, "MY_TOKEN": "to'ken"}
    done = subprocess.run(["sh"], input=request.render(asked), env=env, capture_output=True, text=True, timeout=90)
    try:
        assert done.returncode == 0, done.stderr
        for k in range(2):
            name = f"hand-abcde-main-{k}"
            line = docker(docker_system, "logs", name).decode()
            assert line == f"a 'b' {k}|${{app_id}}|to'ken|sec ret|{k}|it's 2|{k}\n"
            there = json.loads(docker(docker_system, "inspect", name))[0]
            wanted = request.container(asked, 0, k)
            for field in ("Cmd", "Entrypoint", "Hostname", "StopSignal"):
                assert there["Config"][field] == wanted[field]
            for field in ("NanoCpus", "Memory", "MemorySwap", "ShmSize", "Init", "Privileged", "LogConfig"):
                assert there["HostConfig"][field] == wanted["HostConfig"][field]
            assert f"hand-abcde-main-{k}" in there["NetworkSettings"]["Networks"]["hand-abcde"]["Aliases"]
            secret = {"TOKEN", "KEY", "PATH"}
            theirs = {pair for pair in there["Config"]["Env"] if pair.partition("=")[0] not in secret}
            assert theirs == set(wanted["Env"])
            mounts = {(m["Type"], m["Source"], m["Target"]) for m in there["HostConfig"]["Mounts"]}
            assert mounts == {(m["Type"], m["Source"], m["Target"]) for m in wanted["HostConfig"]["Mounts"]}
    finally:
        docker(docker_system, "rm", "-f", "hand-abcde-main-0", "hand-abcde-main-1")
        docker(docker_system, "network", "rm", "hand-abcde")
        docker(docker_system, "volume", "rm", "by-hand")


@pytest.mark.xdist_group("docker")
def test_the_script_says_whether_all_went_well(docker_system: DockerSystem) -> None:
    env = {**os.environ, "DOCKER_HOST": docker_system.host}
    text = request.render(built(sh("exit 3"), app_id="hand-fails"))
    done = subprocess.run(["sh"], input=text, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    docker(docker_system, "rm", "-f", "hand-fails-main-0")


def test_hostile_words_reach_docker_as_they_are(tmp_path: Path) -> None:
    fake = tmp_path / "docker"
    fake.write_text(
        '#!/bin/sh\nif [ "$1" = create ]; then for word; do printf "%s\\0" "$word" >&3; done; echo id; fi\necho 0\n'
    )
    fake.chmod(0o755)
    texts = [text for text in HOSTILE if "${" not in text]
    role = sh("x", args=texts, env={f"V{n}": text for n, text in enumerate(texts)})
    script = tmp_path / "script"
    script.write_text(request.render(built(role)), encoding="utf-8")
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["sh", "-c", 'exec 3>"$1"; . "$0"', str(script), str(tmp_path / "words")]
    subprocess.run(command, env=env, timeout=60, capture_output=True, check=True)
    words = (tmp_path / "words").read_bytes().decode().split("\0")[:-1]
    assert words[words.index(IMAGE) + 1 :] == texts
    given_ = [word for flag, word in itertools.pairwise(words) if flag == "-e" and re.match(r"V\d+=", word)]
    assert given_ == [f"V{n}={text}" for n, text in enumerate(texts)]


# --- GPUs ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=3), st.sets(st.integers(0, 11)))
def test_no_gpu_is_chosen_twice(counts: list[tuple[int, int]], busy: set[int]) -> None:
    app = AppDef("job", [sh("x", f"r{n}", num_replicas=c, resource=Resource(gpu=g)) for n, (c, g) in enumerate(counts)])
    devices, taken = [str(n) for n in range(12)], {str(n): "other-app" for n in busy}
    if gpus.needed(app) > 12 - len(busy):
        with pytest.raises(Exception, match="GPUs"):
            gpus.choose(app, devices, taken)
        return
    chosen = gpus.choose(app, devices, taken)
    every = [device for some in chosen.values() for device in some]
    assert len(set(every)) == len(every) == gpus.needed(app)
    assert not set(every) & set(taken)
    assert all(len(some) == app.roles[r].resource.gpu for (r, _), some in chosen.items())


def test_certain_gpus_are_asked_for() -> None:
    assert request.gpu_request(["1", "3"]) == [
        {"Driver": "nvidia", "DeviceIDs": ["1", "3"], "Capabilities": [["gpu", "compute", "utility"]]}
    ]
