"""Jobs that don't hear, and launchers whose variables have the names of the script's own."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import app_id, ends, jobs_of, reaches, run, sh, status, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner
from xrun.schedulers.slurm import script
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]

OWN = sorted(set(re.findall(r"\b(_[a-z]+)=", Path(script.library_path()).read_text())))


def test_no_variable_of_the_launcher_has_a_say(
    runner: Runner, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*OWN, "_hold0", "_ended0", "_failed0"):
        monkeypatch.setenv(name, "1")
    handle = run(runner, sh("echo $XRUN_ATTEMPT; exit 1", max_retries=1))
    assert "exit 1" in ends(runner, handle, AppState.FAILED).msg
    assert list(runner.log_lines(handle, "main", 0)) == ["0\n", "1\n"]
    handle = run(runner, sh("echo hello", num_replicas=2))
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main", 1)) == ["hello\n"]


def test_a_suspended_job_is_cancelled_all_the_same(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh("echo ready; sleep 300"))
    reaches(runner, handle, "ready")
    (job,) = jobs_of(cluster, app_id(handle))
    cluster.command("scontrol", "suspend", job)
    began = time.monotonic()
    runner.cancel(handle)
    assert status(runner, handle).state is AppState.CANCELLED
    assert time.monotonic() - began < 90
    name, states = f"--name={app_id(handle)}", "--states=running,suspended,completing"
    until(lambda: not cluster.command("squeue", "--noheader", name, states), 90)
