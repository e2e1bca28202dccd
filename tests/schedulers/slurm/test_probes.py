"""What ``xrun doctor`` says of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.systems.slurm_cluster import SlurmCluster
from xrun.schedulers.api import Probe
from xrun.schedulers.slurm import probes
from xrun.schedulers.slurm.client import Cluster

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(120)]


def looked_at(root: Path, partition: str = "") -> dict[str, Probe]:
    return {probe.subject: probe for probe in probes.look(Cluster(probes.PATIENCE), str(root), partition)}


def test_a_cluster_that_has_all(each_cluster: SlurmCluster, tmp_path: Path) -> None:
    found = looked_at(tmp_path / "root", "main,low")
    subjects = ["commands", "version", "controller", "accounting", "partitions", "ended jobs", "job root"]
    assert list(found) == subjects
    assert all(probe.ok for probe in found.values()), found
    assert found["version"].detail.startswith("Slurm ")
    assert found["controller"].detail == "cluster xrun answers"
    kept = "slurmdbd at 127.0.0.1 answers" if each_cluster.accounting else "none; ended jobs are answered for"
    assert found["accounting"].detail.startswith(kept)
    assert "main (4 nodes, default), low (4 nodes)" in found["partitions"].detail
    assert found["ended jobs"].detail.startswith("stay in squeue for 4 sec")
    assert found["job root"].detail.endswith("all nodes are this machine")
    assert not (tmp_path / "root").exists()


def test_a_partition_that_is_not_there(cluster: SlurmCluster, tmp_path: Path) -> None:
    found = looked_at(tmp_path, "man")["partitions"]
    assert not found.ok
    assert found.detail == "there is no man; there are main, low, high, short, single"


def test_a_partition_that_is_down(cluster: SlurmCluster, tmp_path: Path) -> None:
    cluster.command("scontrol", "update", "PartitionName=high", "State=DOWN")
    try:
        assert looked_at(tmp_path, "high")["partitions"] == Probe("partitions", False, "high is down")
    finally:
        cluster.command("scontrol", "update", "PartitionName=high", "State=UP")


def test_a_job_root_that_cannot_be_written(cluster: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = looked_at(tmp_path / "file" / "root")["job root"]
    assert not found.ok
    assert f"{tmp_path}/file/root can't be written" in found.detail


def test_no_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = looked_at(tmp_path).values()
    assert not found.ok
    assert "sbatch, squeue, scancel, scontrol, sinfo not on PATH" in found.detail


def test_a_controller_that_is_away(cluster: SlurmCluster, tmp_path: Path, wrapped: Callable[[str, str], Path]) -> None:
    said = "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)"
    wrapped("scontrol", f"echo '{said}' >&2; exit 1")
    found = looked_at(tmp_path)
    assert list(found) == ["controller"]
    assert "can't be reached" in found["controller"].detail
    assert found["controller"].unreachable


def test_accounting_that_is_away(
    slurm_cluster_accounting: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm_cluster_accounting.env["SLURM_CONF"])
    slurm_cluster_accounting.stop("slurmdbd")
    try:
        found = looked_at(tmp_path)
        assert not found["accounting"].ok
        assert "can't be reached" in found["accounting"].detail
        assert found["partitions"].ok
    finally:
        slurm_cluster_accounting.start("slurmdbd")


# --- what no cluster of one machine shows --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "ok", "words"),
    [
        ("slurm 20.11.9", True, "Slurm 20.11.9"),
        ("slurm-wlm 22.05.8", True, "Slurm 22.05.8"),
        ("slurm 23.02.7", True, "Slurm 23.02.7"),
        ("slurm 24.11.0-0rc2", True, "Slurm 24.11.0-0rc2"),
        ("slurm 25.05.3", True, "Slurm 25.05.3"),
        ("slurm 20.02.7", False, "needs 20.11"),
        ("slurm 19.05.5", False, "needs 20.11"),
        ("sbatch wrapper of the site", False, "needs Slurm 20.11"),
    ],
)
def test_versions(wrapped: Callable[[str, str], Path], said: str, ok: bool, words: str) -> None:
    wrapped("sbatch", f"echo '{said}'")
    found = probes._version(Cluster(10))
    assert found.ok is ok
    assert words in found.detail


@pytest.mark.parametrize(
    ("said", "wanted", "ok", "words"),
    [
        ("main*|up|4\nmain*|up|2\ngpu|up|8\n", "", True, "main (6 nodes, default), gpu (8 nodes)"),
        ("main*|inact|4\n", "main", False, "main is down"),
        ("a|up|1\nb|up|1\n", "", False, "none is the default"),
        ("", "", False, "none is the default"),
        ("\n".join(f"p{i}|up|1" for i in range(12)), "p11", True, "p7 (1 nodes) and 4 more"),
    ],
)
def test_partitions(said: str, wanted: str, ok: bool, words: str) -> None:
    found = probes._partitions(said, wanted)
    assert found.ok is ok
    assert words in found.detail


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/ann/xrun", "nfs4"), ("/home/b c", "lustre"), ("/homes", "ext4"), ("/", "ext4"), ("/tmp/x", "tmpfs")],
)
def test_file_systems(folder: str, kind: str) -> None:
    mounts = "dev / ext4 rw 0 0\nserver:/h /home nfs4 rw 0 0\nm /home/b\\040c lustre rw 0 0\ntmp /tmp tmpfs rw 0 0\n"
    assert probes._file_system(folder, mounts) == kind


@pytest.mark.parametrize(
    ("kind", "ok", "words"), [("ext4", True, "all nodes must see it"), ("tmpfs", False, "set job_root")]
)
def test_a_job_root_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, ok: bool, words: str
) -> None:
    monkeypatch.setattr(probes, "_file_system", lambda *_: kind)
    found = probes._job_root(tmp_path, ["n1", "n2"])
    assert found.ok is ok
    assert words in found.detail
