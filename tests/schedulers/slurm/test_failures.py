"""Nodes that are lost, jobs that are preempted or run out of time, commands that hang, lie or are missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import UNTIL_STOPPED, app_id, ends, jobs_of, reaches, run, sh, status, until
from tests.systems.slurm_cluster import SCRIPT, SlurmCluster
from xrun.errors import BackendError, XrunError
from xrun.runner import Runner
from xrun.specs.states import AppState
from xrun.specs.workspace import Workspace

pytestmark = [pytest.mark.xdist_group("slurm-failures"), pytest.mark.timeout(240)]

FAILED, SUCCEEDED, RUNNING, PENDING = AppState.FAILED, AppState.SUCCEEDED, AppState.RUNNING, AppState.PENDING

ONCE_MORE = 'echo "attempt $XRUN_ATTEMPT"; [ "$XRUN_ATTEMPT" != 0 ] || exec sleep 200; echo "$XRUN_ATTEMPT is done"'
"""A payload that ends in its second attempt only."""

TWO_ATTEMPTS = ["attempt 0\n", "attempt 1\n", "1 is done\n"]


def lines(runner: Runner, handle: str, role: str = "main", k: int = 0) -> list[str]:
    return list(runner.log_lines(handle, role, k))


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("exit 7", "its script failed before any replica began, as by what setup or modules say"),
        ("set -u; : $nothing", "nothing"),
        ("set -eu; false", "its script failed before any replica began"),
        ("echo there is no licence >&2; exit 1", "there is no licence"),
    ],
)
def test_what_is_done_before_the_job_fails(runner: Runner, each_cluster: SlurmCluster, setup: str, words: str) -> None:
    handle = run(runner, sh("echo never"), setup=[setup])
    assert words in ends(runner, handle, FAILED).msg
    assert lines(runner, handle) == []


def test_a_job_that_is_held_again_does_not_run(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    (job,) = jobs_of(cluster, app_id(handle))
    cluster.command("scontrol", "requeuehold", job)
    found = until(lambda: (there := status(runner, handle)).state is PENDING and there)
    assert "scontrol release" in found.msg
    assert [r.started for r in found.roles[0].replicas] == [0.0]
    runner.cancel(handle)
    assert status(runner, handle).state is AppState.CANCELLED


def test_a_job_whose_folder_is_removed(runner: Runner, cluster: SlurmCluster, xrun_home: Path) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    name = app_id(handle)
    shutil.rmtree(xrun_home / "slurm" / name)
    # the page says so: xrun doesn't find it, Slurm does
    assert runner.status(handle) is None
    runner.delete(handle)
    assert cluster.command("squeue", "--noheader", f"--name={name}", "--format=%T").split() == ["RUNNING"]
    cluster.command("scancel", f"--name={name}")
    until(lambda: "RUNNING" not in cluster.command("squeue", "--noheader", f"--name={name}", "--format=%T"))


def test_a_node_that_does_not_see_the_folder(
    runner: Runner, cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    handles = [run(runner, sh("pwd", workspace=code), sbatch_args=["--hold"]) for code in (None, Workspace({".": ""}))]
    here.rename(tmp_path / "elsewhere")
    for handle in handles:
        cluster.command("scontrol", "release", *jobs_of(cluster, app_id(handle)))
    assert f"does not see {here}; submit from a folder that" in ends(runner, handles[0], FAILED).msg
    assert lines(runner, handles[0]) == []
    ends(runner, handles[1], SUCCEEDED)
    monkeypatch.chdir(tmp_path)
    handle = run(runner, sh("pwd"), sbatch_args=["--chdir=/no such"])
    assert "does not see /no such; submit from" in ends(runner, handle, FAILED).msg
    for place in ("/usr", "/tmp"):
        handle = run(runner, sh("pwd"), sbatch_args=[f"--chdir={place}"])
        ends(runner, handle, SUCCEEDED)
        assert lines(runner, handle) == [f"{place}\n"]


@pytest.fixture
def hidden(cluster: SlurmCluster) -> Iterator[Callable[[Path], None]]:
    """Hides a folder from the node n4."""
    if os.geteuid():
        pytest.skip("only root can hide a folder from a node")

    def hide(folder: Path) -> None:
        cluster.stop("n4")
        script = 'mount -t tmpfs none "$1" && exec "$2" start "$3" n4'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *map(str, (folder, SCRIPT, cluster.folder))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    yield hide
    cluster.stop("n4")
    cluster.start("n4")


@pytest.mark.parametrize("what", ["the folder", "the job root"])
def test_one_of_the_nodes_does_not_see(
    runner: Runner,
    cluster: SlurmCluster,
    hidden: Callable[[Path], None],
    tmp_path: Path,
    xrun_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    here = tmp_path / "above/here"
    here.mkdir(parents=True)
    (xrun_home / "slurm").mkdir(parents=True)
    monkeypatch.chdir(here)
    place = here if what == "the folder" else xrun_home / "slurm"
    hidden(here.parent if what == "the folder" else place)
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2), nodelist="n3,n4")
    found = ends(runner, handle, FAILED)
    assert re.match(rf"main/1 failed: exit 1: (n4|its node) does not see {place}", found.msg), found.msg


# --- what Slurm does to a job --------------------------------------------------------------------------------------


def test_a_node_is_lost(runner: Runner, each_cluster: SlurmCluster) -> None:
    handle = run(runner, sh(ONCE_MORE, num_replicas=2), nodelist="n3,n4")
    for k in range(2):
        reaches(runner, handle, "attempt 0", k=k)
    each_cluster.lose("n4")
    try:
        until(lambda: status(runner, handle).state == PENDING)
    finally:
        each_cluster.restore("n4")
    found = ends(runner, handle, SUCCEEDED, 120)
    assert found.num_restarts == 1
    assert [lines(runner, handle, k=k) for k in range(2)] == [TWO_ATTEMPTS] * 2


def test_the_node_of_the_script_is_lost(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(ONCE_MORE, num_replicas=2), nodelist="n3,n4")
    for k in range(2):
        reaches(runner, handle, "attempt 0", k=k)
    cluster.lose("n3")
    try:
        until(lambda: status(runner, handle).state == PENDING)
    finally:
        cluster.restore("n3")
    ends(runner, handle, SUCCEEDED, 120)
    assert [lines(runner, handle, k=k) for k in range(2)] == [TWO_ATTEMPTS] * 2


def test_a_lost_node_without_a_requeue(runner: Runner, each_cluster: SlurmCluster) -> None:
    handle = run(runner, sh(ONCE_MORE, num_replicas=2), nodelist="n3,n4", requeue=False)
    for k in range(2):
        reaches(runner, handle, "attempt 0", k=k)
    each_cluster.lose("n4")
    try:
        found = ends(runner, handle, FAILED, 120)
    finally:
        each_cluster.restore("n4")
    assert "node" in found.msg.lower()
    assert lines(runner, handle) == ["attempt 0\n"]


def test_preemption_uses_up_no_retry(runner: Runner, each_cluster: SlurmCluster) -> None:
    low = run(runner, sh(ONCE_MORE), partition="low", nodelist="n4", exclusive=True)
    reaches(runner, low, "attempt 0")
    high = run(runner, sh(UNTIL_STOPPED), partition="high", nodelist="n4", exclusive=True)
    reaches(runner, high, "ready")
    assert status(runner, low).state == PENDING
    runner.cancel(high)
    found = ends(runner, low, SUCCEEDED, 120)
    assert found.num_restarts == 1
    assert lines(runner, low) == TWO_ATTEMPTS


def test_the_time_limit_is_only_the_end_of_one_stay(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(ONCE_MORE), partition="short", time="1")
    ends(runner, handle, SUCCEEDED, 200)
    assert lines(runner, handle) == TWO_ATTEMPTS


def test_the_time_limit_without_a_requeue(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(ONCE_MORE), time="1", max_requeues=0)
    found = ends(runner, handle, FAILED, 200)
    assert "time limit" in found.msg


# the other cluster forgets a job after seconds, so soon that two looks may be before and after that
def test_slurm_cancels_it(
    runner: Runner, slurm_cluster_accounting: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm_cluster_accounting.env.items():
        monkeypatch.setenv(name, value)
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2))
    reaches(runner, handle, "ready", k=1)
    slurm_cluster_accounting.command("scancel", *jobs_of(slurm_cluster_accounting, app_id(handle)))
    ends(runner, handle, AppState.CANCELLED)


@pytest.mark.parametrize("requeue", [True, False])
def test_slurm_cancels_and_forgets_it(runner: Runner, cluster: SlurmCluster, requeue: bool) -> None:
    handle = run(runner, sh(UNTIL_STOPPED, num_replicas=2), requeue=requeue)
    reaches(runner, handle, "ready", k=1)
    cluster.command("scancel", *jobs_of(cluster, app_id(handle)))
    until(lambda: not jobs_of(cluster, app_id(handle)))
    found = status(runner, handle)
    # one that is not to go back to the queue may have been preempted
    assert found.state is (AppState.CANCELLED if requeue else FAILED)
    assert ("its own commands" if requeue else "exit code unknown") in found.msg


def test_slurm_ends_it_at_the_time_limit_and_forgets_it(runner: Runner, cluster: SlurmCluster, xrun_home: Path) -> None:
    """What slurmstepd writes then, as recorded; a time limit is a minute at least."""
    handle = run(runner, sh(UNTIL_STOPPED), signal="USR1@10")
    reaches(runner, handle, "ready")
    cluster.command("scancel", *jobs_of(cluster, app_id(handle)))
    until(lambda: not jobs_of(cluster, app_id(handle)))
    with (xrun_home / "slurm" / app_id(handle) / "slurm.log").open("a") as file:
        file.write("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-26T14:07:21 DUE TO TIME LIMIT ***\n")
    found = status(runner, handle)
    assert (found.state, found.msg) == (FAILED, "stopped at Slurm's time limit")


def test_slurm_cancels_it_while_it_waits_again(runner: Runner, each_cluster: SlurmCluster) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    job = jobs_of(each_cluster, app_id(handle))
    each_cluster.command("scontrol", "requeuehold", *job)
    until(lambda: status(runner, handle).state is PENDING)
    each_cluster.command("scancel", *job)
    until(lambda: not jobs_of(each_cluster, app_id(handle)))  # accounting goes on calling it REQUEUED
    assert status(runner, handle).state is AppState.CANCELLED


def test_slurm_cancels_and_forgets_one_that_never_began(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh("true"), sbatch_args=["--hold"])
    cluster.command("scancel", *jobs_of(cluster, app_id(handle)))
    until(lambda: not jobs_of(cluster, app_id(handle)))
    found = status(runner, handle)  # also what ran where nothing can be written looks like this
    assert found.state is FAILED
    assert "as if scancel had ended it before" in found.msg


# --- submissions that are cut off ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        '$real "$@" >/dev/null; exit 1',
        '$real "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out" >&2; exit 1',
        '$real "$@" >/dev/null; kill -9 $$',
        '$real "$@" >/dev/null',
        '$real "$@"; echo "sbatch: a word of the site"',
    ],
    ids=["exit 1", "time out", "killed", "no answer", "more words"],
)
def test_the_answer_to_a_submission_is_lost(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path], script: str
) -> None:
    wrapped("sbatch", script)
    handle = run(runner, sh("echo once"))
    assert len(jobs_of(cluster, app_id(handle))) == 1
    ends(runner, handle, SUCCEEDED)
    assert lines(runner, handle) == ["once\n"]


def test_the_submitter_is_killed_after_its_submission(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path]
) -> None:
    wrapped("sbatch", '$real "$@"; kill -9 $PPID')
    command = [sys.executable, "-m", "xrun", "--request-id", "the same", "-s", "slurm", "--detach", "utils.echo"]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode < 0
    wrapped("sbatch", 'exec $real "$@"')
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    handle = done.stdout.strip()
    assert len(jobs_of(cluster, app_id(handle))) == 1
    ends(runner, handle, SUCCEEDED)


def test_sbatch_hangs_and_is_not_waited_for_for_ever(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xrun.schedulers.slurm import client

    monkeypatch.setattr(client, "PATIENCE", 3.0)
    wrapped("sbatch", 'exec 3>&1; $real "$@" >/dev/null; sleep 100 & echo $! >"$here/pid"; wait')
    handle = run(runner, sh("echo once"))
    assert len(jobs_of(cluster, app_id(handle))) == 1
    ends(runner, handle, SUCCEEDED)


# --- commands that are missing, refuse or lie ----------------------------------------------------------------------


def test_no_slurm_here(runner: Runner, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended, goes_on = run(runner, sh("true")), run(runner, sh(UNTIL_STOPPED))
    ends(runner, ended, SUCCEEDED)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(BackendError, match="no sbatch on PATH"):
            run(runner, sh("true", entrypoint="/bin/sh"))
        with pytest.raises(BackendError, match="no squeue on PATH"):
            runner.status(goes_on)
        assert status(runner, ended).state == SUCCEEDED
        assert runner.status("slurm://default/job-x7f2q") is None
    runner.cancel(goes_on)


@pytest.mark.parametrize(
    "script",
    [
        "echo Segmentation fault; exit 139",
        "echo '{\"jobs\": []}'",
        "head -c 100000 /dev/urandom",
        "echo '1|2|3'",
        "echo 'squeue: warning: the cluster is being updated' ",
    ],
)
def test_squeue_says_something_else(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path], script: str
) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    wrapped("squeue", script)
    try:
        found = status(runner, handle)
    except XrunError as error:
        assert "squeue" in str(error)
        assert len(str(error)) < 1000
        assert "\n" not in str(error)
    else:
        assert found.state == RUNNING
    wrapped("squeue", 'exec $real "$@"')
    runner.cancel(handle)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partition": "nosuch"}, "nosuch"),
        ({"constraint": "nosuch"}, "feature"),
        ({"reservation": "nosuch"}, "eservation"),
        ({"time": "2-00:00:00"}, "ime limit"),
        ({"partition": "single"}, "ode count"),
        ({"nodelist": "n9"}, "node name"),
        ({"licenses": "nosuch:1"}, "icense"),
    ],
)
def test_what_the_cluster_refuses(runner: Runner, cluster: SlurmCluster, options: dict[str, str], words: str) -> None:
    with pytest.raises(BackendError) as refused:
        run(runner, sh("true", num_replicas=2), **options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not cluster.command("squeue", "--noheader", "--name=job")


# --- where a job's files are ---------------------------------------------------------------------------------------


def test_a_job_root_that_cannot_be_made(runner: Runner, cluster: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(XrunError, match="file/root"):
        run(runner, sh("true"), job_root=f"{tmp_path}/file/root")


def test_a_job_root_that_the_nodes_do_not_see(cluster: SlurmCluster, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "xrun.toml").write_text(f'[schedulers.slurm]\njob_root = "{root}"\n')
    # the launcher sees another file system there than the nodes do
    script = 'mount -t tmpfs none "$1" && exec "$2" -m xrun -s slurm --wait utils.echo'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(root), sys.executable],
        cwd=tmp_path, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode in (1, 4), done.stderr
    assert str(root) in done.stderr
    assert "Traceback" not in done.stderr
