"""torch over the pod network: two pods with two processes each, rank 0 found by its name, the code from a ConfigMap."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.schedulers.kubernetes.jobs import Team
from tests.systems import kubernetes_cluster as cluster
from xrun.runner import Runner
from xrun.specs import AppState

pytestmark = [cluster.group("verbs"), pytest.mark.timeout(400)]

PROGRAM = """
import os, socket, sys
import torch
import torch.distributed as dist
from helper import BY
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print("sum", int(total.item()) * BY, "of", dist.get_world_size(), "on", socket.gethostname(), sys.argv[1:], flush=True)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("kind", ["job", "jobset"])
def test_two_pods_train_together(kind: str, runner: Runner, team: Team, tmp_path: Path) -> None:
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        pytest.skip("torch is not installed (extra: torch)")
    environment = Path(torch.origin).parents[4]
    folders = dict.fromkeys([*cluster.host_folders(), str(environment)])
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("BY = 1\n")
    args = {
        "script": "train.py",
        "script_args": ["a b", "$(HOME) $HOME"],
        "j": "2x2",
        "cpu": 0,
        "memMB": 0,
        "mounts": [w for f in folders for w in ("type=bind", f"src={f}", f"dst={f}", "readonly")],
        "env": {"PATH": f"{environment}/bin:/bin:/usr/bin", "OMP_NUM_THREADS": "1"},
    }
    image = cluster.with_python(team.system)
    handle = runner.run_component(
        "dist.ddp", args, "kubernetes", {"image": image, "kind": kind}, workspace=str(tmp_path)
    )
    end = runner.wait(handle, timeout=300)
    lines = [list(runner.log_lines(handle, "train", k)) for k in range(2)]
    assert end is not None
    assert end.state == AppState.SUCCEEDED, (end.format(), lines)
    name = handle.rpartition("/")[2]
    for k in range(2):
        host = f"{name}-{k}" if kind == "job" else f"{name}-train-0-{k}"
        assert "".join(lines[k]).count(f"sum 10 of 4 on {host} ['a b', '$(HOME) $HOME']") == 2
    runner.delete(handle)
    assert team.kubectl("get", "configmaps", "--selector=xrun.dev/workspace", "--output=name") == ""
