"""torch over the network of a job: two containers, one process each, rank 0 found by its name."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.systems import engine
from tests.systems.engine import DockerSystem
from xrun.runner import get_runner
from xrun.specs import AppState

pytestmark = pytest.mark.xdist_group("docker")

PROGRAM = """
import os, socket, sys
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.ones(1) * (dist.get_rank() + 1)
dist.all_reduce(total)
print("sum", int(total.item()), "of", dist.get_world_size(), "on", socket.gethostname(), sys.argv[1:], flush=True)
dist.destroy_process_group()
"""


def mounts() -> list[str]:
    """This interpreter with its packages and libraries, so that no image need hold torch."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        pytest.skip("torch is not installed (extra: torch)")
    environment = Path(torch.origin).parents[4]
    folders = dict.fromkeys(map(str, (Path("/usr"), Path(sys.base_prefix), environment)))
    return [word for folder in folders for word in ("type=bind", f"src={folder}", f"dst={folder}", "readonly")]


@pytest.mark.timeout(300)
def test_two_containers_train_together(
    docker_system: DockerSystem, docker_host: str, xrun_home: Path, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(PROGRAM)
    environment = Path(str(importlib.util.find_spec("torch").origin)).parents[4]  # type: ignore[union-attr]
    args = {
        "script": "train.py",
        "script_args": ["a b", "$HOME"],
        "j": "2x1",
        "cpu": 1,
        "memMB": 2048,
        "mounts": mounts(),
        "env": {"PATH": f"{environment}/bin:/bin:/usr/bin", "OMP_NUM_THREADS": "1"},
    }
    with get_runner() as runner:
        image = engine.with_python(docker_system)
        handle = runner.run_component("dist.ddp", args, "docker", {"image": image}, workspace=str(code))
        end = runner.wait(handle, timeout=240)
        lines = [list(runner.log_lines(handle, "train", k)) for k in range(2)]
        assert end is not None
        assert end.state == AppState.SUCCEEDED, (end.format(), lines)
        app_id = handle.rpartition("/")[2]
        for k in range(2):
            assert f"sum 3 of 2 on {app_id}-train-{k} ['a b', '$HOME']" in "".join(lines[k])
        runner.delete(handle)
