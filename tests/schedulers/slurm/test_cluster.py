"""The clusters that the tests of this folder run on: what they promise."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.systems import slurm_cluster as clusters
from tests.systems.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]


def until(condition: Callable[[], Any], timeout: float = 60) -> Any:
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.1)
    return found


def states(cluster: SlurmCluster) -> str:
    return cluster.command("squeue", "--states=all", "--noheader", "--format=%i %T")


def submit(cluster: SlurmCluster, script: str, *words: str) -> str:
    folder = cluster.folder
    return cluster.command("sbatch", "--parsable", f"--output={folder}/out-%j", *words, f"--wrap={script}").strip()


def test_a_job_runs_on_four_nodes_and_is_forgotten(slurm_cluster: SlurmCluster) -> None:
    job = submit(slurm_cluster, "srun printenv SLURMD_NODENAME", "--nodes=4")
    until(lambda: f"{job} COMPLETED" in states(slurm_cluster))
    assert sorted((slurm_cluster.folder / f"out-{job}").read_text().split()) == list(clusters.NODES)
    until(lambda: job not in states(slurm_cluster).split())


def test_accounting_keeps_it(slurm_cluster_accounting: SlurmCluster) -> None:
    job = submit(slurm_cluster_accounting, "exit 3", "--comment=a b", "--account=teaching", "--qos=fast")
    columns = "--format=JobIDRaw,State,ExitCode,Comment,Account,QOS"
    ask = ("sacct", "--parsable2", "--noheader", "--allocations", f"--jobs={job}", columns)
    until(lambda: slurm_cluster_accounting.command(*ask) == f"{job}|FAILED|3:0|a b|teaching|fast\n")


def test_two_clusters_at_once_whose_daemons_come_and_go() -> None:
    if lacking := clusters.lacking(accounting=False):
        pytest.skip(lacking)
    with clusters.started(accounting=False) as one, clusters.started(accounting=False) as other:
        waiting = submit(one, "srun sleep 600", "--nodes=2", "--nodelist=n1,n2", "--requeue")
        until(lambda: f"{waiting} RUNNING" in states(one))
        one.stop("slurmctld")
        submit(other, "true")
        one.start("slurmctld")
        assert f"{waiting} RUNNING" in states(one)
        one.lose("n2")
        until(lambda: f"{waiting} PENDING" in states(one))
        one.restore("n2")
        until(lambda: f"{waiting} RUNNING" in states(one))
        assert "Restarts=1 " in one.command("scontrol", "show", "job", waiting)
