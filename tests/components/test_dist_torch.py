"""The commands of `dist.ddp`, run by the torchrun that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from xrun.components import dist
from xrun.specs.macros import substitute
from xrun.specs.role import Role

PROGRAM = """
import json, os, sys
import torch.distributed as dist, torch
dist.init_process_group("gloo")
one = torch.ones(1)
dist.all_reduce(one)
if dist.get_rank() == 0:
    with open(sys.argv[1], "w") as f:
        json.dump([one.item(), sys.argv[2:]], f)
dist.destroy_process_group()
"""
# torchrun itself reads --rdzv as its own, ambiguous option unless it is told where its options end
WORDS = ["--rdzv", "--", "a b", "$HOME", "", "--nnodes=7"]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed (extra: torch)")
    (tmp_path / "train.py").write_text(PROGRAM)
    return tmp_path


def start(role: Role, folder: Path, **env: str) -> subprocess.Popen[str]:
    argv = [
        role.entrypoint,
        *(substitute(a, {"app_id": "train-abcde", "replica_id": env["XRUN_REPLICA_ID"]}) for a in role.args),
    ]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XRUN_", "PYTEST_", "TORCH", "PET_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        argv,
        cwd=folder,
        env={**kept, **role.env, "PATH": path, "OMP_NUM_THREADS": "1", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes: list[subprocess.Popen[str]]) -> None:
    try:
        outputs = [p.communicate(timeout=90)[0] for p in processes]
    finally:
        for p in processes:
            p.kill()
            p.wait()
    assert [p.returncode for p in processes] == [0] * len(processes), "\n".join(outputs)


def test_single_node(job: Path) -> None:
    role = dist.ddp("out.json", *WORDS, script="train.py", j="1x2").roles[0]
    finish([start(role, job, XRUN_REPLICA_ID="0")])
    assert json.loads((job / "out.json").read_text()) == [2.0, WORDS]


@pytest.mark.parametrize("backend", ["c10d", "static"])
def test_two_nodes(job: Path, backend: str) -> None:
    role = dist.ddp("out.json", *WORDS, script="train.py", j="2x1", rdzv_backend=backend).roles[0]  # type: ignore[arg-type]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    env = {
        "XRUN_RANK0_HOST": "localhost",
        "XRUN_RDZV_PORT": port,
        "XRUN_APP_ID": "train-abcde",
        "XRUN_ATTEMPT": "0",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    # the one that only joins is started first
    finish([start(role, job, XRUN_REPLICA_ID=k, **env) for k in ("1", "0")])
    assert json.loads((job / "out.json").read_text()) == [2.0, WORDS]
