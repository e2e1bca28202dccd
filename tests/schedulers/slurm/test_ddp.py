"""torch over the nodes of a job, and training that goes on after preemption."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import UNTIL_STOPPED, ends, reaches, run, sh, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner
from xrun.specs.states import AppState

pytestmark = [
    pytest.mark.xdist_group("slurm-failures"),
    pytest.mark.timeout(400),
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed (extra: torch)"),
]

TRAIN = str(Path(__file__).parents[3] / "examples/ddp/train.py")

ALL_REDUCE = """
import os, sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print("sum", int(total.item()), "of", dist.get_world_size(), "on", os.environ["SLURMD_NODENAME"], flush=True)
dist.destroy_process_group()
"""


@pytest.fixture(autouse=True)
def _this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python` is the one with torch, also in jobs."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def ddp(runner: Runner, script: str, j: str, *args: str, **options: object) -> str:
    given = {"script": script, "script_args": list(args), "j": j, "cpu": 1, "memMB": 1024}
    return str(runner.run_component("dist.ddp", given, "slurm", {"grace_period": 5, **options}))


@pytest.mark.parametrize("nodes", [2, 4])
def test_nodes_train_together(runner: Runner, cluster: SlurmCluster, tmp_path: Path, nodes: int) -> None:
    script = tmp_path / "train.py"
    script.write_text(ALL_REDUCE)
    handle = ddp(runner, str(script), f"{nodes}x1")
    found = ends(runner, handle, AppState.SUCCEEDED, 200)
    hosts = {replica.hostname for replica in found.roles[0].replicas}
    assert len(hosts) == nodes
    said = "".join("".join(runner.log_lines(handle, "train", k)) for k in range(nodes))
    for host in hosts:
        assert f"sum {nodes * (nodes + 1) // 2} of {nodes} on {host}\n" in said


def test_a_preempted_training_goes_on_from_its_checkpoint(
    runner: Runner, cluster: SlurmCluster, tmp_path: Path
) -> None:
    where = {"nodelist": "n3,n4", "exclusive": True}
    low = ddp(runner, TRAIN, "2x1", "--epochs", "30", "--checkpoint-dir", str(tmp_path), partition="low", **where)
    until(lambda: (tmp_path / "ddp-digits/checkpoint.pt").exists() or (tmp_path / "checkpoint.pt").exists(), 120)
    high = run(runner, sh(UNTIL_STOPPED, num_replicas=2), partition="high", **where)
    reaches(runner, high, "ready")
    runner.cancel(high)
    found = ends(runner, low, AppState.SUCCEEDED, 300)
    assert found.num_restarts == 1
    # which replica has rank 0 and speaks, c10d decides anew in each attempt
    said = "".join(line for k in range(2) for line in runner.log_lines(low, "train", k))
    assert "resumed from epoch" in said
    assert "epoch 30/30" in said
