from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.components import dist
from xrun.errors import InvalidValue
from xrun.specs import macros
from xrun.specs.role import SCRIPT, RetryPolicy, Role
from xrun.specs.validation import validate

JOB = {
    "XRUN_RANK0_HOST": "host0",
    "XRUN_RDZV_PORT": "23456",
    "XRUN_APP_ID": "t-abcde",
    "XRUN_ATTEMPT": "1",
    "XRUN_REPLICA_ID": "0",
}


def role(*args: str, **options: Any) -> Role:
    app = dist.ddp(*args, **{"script": "t.py", **options})
    assert validate(app) == []
    return app.roles[0]


@pytest.fixture
def torchrun(tmp_path: Path) -> Any:
    """Runs a role with a `python` that only shows its arguments."""
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    fake.chmod(0o755)

    def run(role: Role, **env: str | None) -> list[str]:
        environment = {k: v for k, v in {**JOB, **env}.items() if v is not None}
        done = subprocess.run(
            [role.entrypoint, *role.args],
            capture_output=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment},
            timeout=20,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, role.entrypoint, done.stdout, done.stderr)
        return done.stdout.decode().split("\0")[:-1]

    return run


def test_single_node_needs_no_shell() -> None:
    found = role("--lr", "1", j="1x4")
    assert found.entrypoint == "python"
    assert found.args == [
        *("-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"),
        *("--rdzv-id", "${app_id}", "--nnodes", "1", "--nproc-per-node", "4", "--tee", "3", "--role", ""),
        *("--", "t.py", "--lr", "1"),
    ]
    assert (found.num_replicas, found.min_replicas, found.port_map) == (1, None, {})


def test_single_node_ignores_where_the_nodes_meet() -> None:
    assert role(j="1x4", rdzv_port=1, rdzv_backend="static") == role(j="1x4")


def test_multi_node_command(torchrun: Any) -> None:
    found = role("a b", j="2x4")
    assert torchrun(found) == [
        *("-m", "torch.distributed.run", "--rdzv-endpoint", "host0:23456", "--rdzv-id", "t-abcde-1", "--rdzv-conf"),
        "is_host=true,read_timeout=900,join_timeout=900,timeout=900",
        *("--rdzv-backend", "c10d", "--nnodes", "2", "--nproc-per-node", "4", "--tee", "3", "--role", ""),
        *("--", "t.py", "a b"),
    ]
    assert "is_host=false," in torchrun(found, XRUN_REPLICA_ID="10")[7]
    assert (found.num_replicas, found.min_replicas, found.port_map) == (2, None, {})
    assert found.retry_policy is RetryPolicy.APPLICATION


def test_rdzv_port_wins(torchrun: Any) -> None:
    found = role(j="2x4", rdzv_port=1234)
    assert torchrun(found, XRUN_RDZV_PORT=None)[3] == "host0:1234"
    assert found.port_map == {"c10d": 1234}


def test_rdzv_conf_of_the_user_wins(torchrun: Any) -> None:
    found = role(j="2x4", rdzv_conf={"join_timeout": "5", "is_host": "false"})
    assert torchrun(found)[7] == "is_host=true,read_timeout=900,join_timeout=5,timeout=900,is_host=false"
    assert role(j="1x1", rdzv_conf={"a": "b=c"}).args[8:10] == ["--rdzv-conf", "a=b=c"]


@pytest.mark.parametrize("missing", sorted(JOB))
def test_multi_node_fails_if_the_scheduler_says_too_little(torchrun: Any, missing: str) -> None:
    for value in (None, ""):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            torchrun(role(j="2x4"), **{missing: value})
        assert missing in caught.value.stderr.decode()


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])), max_size=4))
def test_words_arrive_byte_for_byte(words: list[str]) -> None:
    single, multi = (dist.ddp(*words, m="a.b", j=j).roles[0].args for j in ("1x1", "2x1"))
    assert single[-len(words) - 3 :] == multi[-len(words) - 3 :] == ["-m", "--", "a.b", *words]
    assert multi[1] == dist.ddp(m="x", j="2x1").roles[0].args[1]


def test_words_pass_the_shell_as_they_are(torchrun: Any) -> None:
    hostile = ["", " ", "'", '"', "\n", "$HOME", "$(id)", "`id`", "*", "\\", "é", "a,b", "--", "-h", "${XRUN_ATTEMPT}"]
    assert torchrun(role(*hostile, j="2x1"))[-len(hostile) :] == hostile


def test_elastic() -> None:
    found = role(j="2:4x8")
    assert (found.num_replicas, found.min_replicas) == (4, 2)
    assert found.args[found.args.index("--nnodes") + 1] == "2:4"


def test_static(torchrun: Any) -> None:
    words = torchrun(role(j="2x8", rdzv_backend="static"))
    assert words[words.index("--node-rank") + 1] == macros.replica_id
    with pytest.raises(InvalidValue, match="fixed number of nodes"):
        role(j="1:2x8", rdzv_backend="static")
    with pytest.raises(InvalidValue, match="not one of c10d, static"):
        role(j="2x8", rdzv_backend="etcd")


@pytest.mark.parametrize("conf", [{"": "1"}, {"a": ""}, {"a": "1,b=2"}, {"a,b": "1"}, {"a=b": "1"}])
def test_rdzv_conf_that_torchrun_would_misread(conf: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="rdzv_conf"):
        role(j="2x1", rdzv_conf=conf)


@pytest.mark.parametrize(
    ("options", "app", "role_name", "metadata"),
    [
        ({"script": "a/train.py"}, "train", "train", {}),
        ({"m": "a.train"}, "train", "train", {}),
        ({"m": "a", "name": "exp/My run"}, "My run", "My-run", {"xrun/experiment": "exp"}),
        ({"m": "a", "name": "__é__"}, "__é__", "main", {}),
        ({"m": "a", "name": "/" + "x" * 100}, "x" * 100, "x" * 63, {}),
        ({"m": "a", "name": "e/b", "metadata": {"k": "v"}}, "b", "b", {"xrun/experiment": "e", "k": "v"}),
    ],
)
def test_names(options: dict[str, Any], app: str, role_name: str, metadata: dict[str, str]) -> None:
    found = dist.ddp(**options)
    assert (found.name, found.roles[0].name, found.metadata) == (app, role_name, metadata)
    assert validate(found) == []


def test_script_is_noted_for_the_scheduler() -> None:
    assert role().metadata == {SCRIPT: "t.py"}
    assert role(script=None, m="a").metadata == {}


@pytest.mark.parametrize("options", [{}, {"script": "a", "m": "b"}])
def test_needs_exactly_one_program(options: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="exactly one of script and m"):
        dist.ddp(**options)  # type: ignore[arg-type]


def test_env() -> None:
    env = {"LOGLEVEL": "INFO", "NCCL_DESYNC_DEBUG": "0"}
    assert role().env == {"LOGLEVEL": "WARNING"}
    assert role(debug=True, env=env).env == {
        "LOGLEVEL": "INFO",
        "CUDA_LAUNCH_BLOCKING": "1",
        "NCCL_DESYNC_DEBUG": "0",
        "TORCH_DISTRIBUTED_DEBUG": "DETAIL",
        "TORCH_SHOW_CPP_STACKTRACES": "1",
    }
    assert env == {"LOGLEVEL": "INFO", "NCCL_DESYNC_DEBUG": "0"}


def test_spmd_infers_processes_and_may_be_elastic() -> None:
    def args(j: str) -> str:
        return " ".join(dist.spmd("-x", m="a", h="aws_p4d.24xlarge", j=j).roles[0].args)

    assert "--nnodes 1 --nproc-per-node 8 " in args("1")
    assert "--nnodes 2:4 --nproc-per-node 8 " in args("2:4")
    assert "--nnodes 2 --nproc-per-node 4 " in args("2x4")
    assert dist.spmd(m="a").roles[0].resource.gpu == 1
