"""Whatever process of a job is killed: there is a clear verdict, soon, and nothing goes on."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import app_id, ends, jobs_of, reaches, run, sh, status, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]

# it says who it is and which process runs it; only the first attempt stays
STAYS = 'echo "$$ $PPID"; echo ready; [ "$XRUN_ATTEMPT" -gt 0 ] || exec sleep 600'


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program(runner: Runner, handle: str, k: int = 0) -> int:
    """The program of a replica."""
    return int(next(iter(runner.log_lines(handle, "main", k))).split()[0])


def shell(runner: Runner, handle: str) -> int:
    """What runs it on its node."""
    return int(next(iter(runner.log_lines(handle, "main", 0))).split()[1])


def step_daemon(runner: Runner, handle: str) -> int:
    """Slurm's daemon of its step there."""
    found = parent(shell(runner, handle))
    assert Path(f"/proc/{found}/comm").read_text() == "slurmstepd\n"
    return found


def below(pid: int) -> list[int]:
    """All that a process and its children have started and that still runs."""
    found = [pid]
    for one in found:  # which grows meanwhile
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def srun(runner: Runner, handle: str) -> int:
    """What started its step, of two processes the first."""
    words = f"srun.*/{app_id(handle)}/job.sh"
    pids = sorted(int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit())
    return next(pid for pid in pids if re.match(words, command(pid)))


def command(pid: int) -> str:
    """Its words; empty if it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def supervisor(runner: Runner, handle: str) -> int:
    """The job's batch script."""
    found = srun(runner, handle)
    while Path(f"/proc/{parent(found)}/comm").read_text() != "slurmstepd\n":
        found = parent(found)
    return found


KILLED: dict[str, Callable[[Runner, str], int]] = {
    "slurmstepd": step_daemon,
    "the shell": shell,
    "the program": program,
    "srun": srun,
}


def is_clear(found: AppStatus, what: str) -> bool:
    """Whether the message says what happened."""
    words = {"the program": ["failed: SIGKILL"], "srun": ["srun ended with 137"]}
    # which of the two is heard of first is a matter of chance, if there is but one replica
    either = ["what ran it was killed", "main lost a replica, and srun ended with 137"]
    return any(text in found.msg for text in words.get(what, either))


@pytest.mark.parametrize("what", KILLED)
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_process_is_killed(runner: Runner, cluster: SlurmCluster, what: str, replicas: int) -> None:
    handle = run(runner, sh(STAYS, num_replicas=replicas))
    for k in range(replicas):
        reaches(runner, handle, "ready", k=k)
    programs = [program(runner, handle, k) for k in range(replicas)]
    os.kill(KILLED[what](runner, handle), signal.SIGKILL)
    began = time.monotonic()
    found = ends(runner, handle, AppState.FAILED)
    assert is_clear(found, what), found.msg
    assert time.monotonic() - began < 30
    until(lambda: not any(map(lives, programs)))


@pytest.mark.parametrize("what", KILLED)
@pytest.mark.parametrize("policy", [RetryPolicy.APPLICATION, RetryPolicy.ROLE])
def test_what_is_killed_is_tried_again(runner: Runner, cluster: SlurmCluster, what: str, policy: RetryPolicy) -> None:
    handle = run(runner, sh(STAYS, num_replicas=2, max_retries=1, retry_policy=policy))
    for k in range(2):
        reaches(runner, handle, "ready", k=k)
    programs = [program(runner, handle, k) for k in range(2)]
    os.kill(KILLED[what](runner, handle), signal.SIGKILL)
    found = ends(runner, handle, AppState.SUCCEEDED, 90)
    assert [r.attempt for r in found.roles[0].replicas] == [1, 1]
    until(lambda: not any(map(lives, programs)))


def test_one_of_several_that_may_fail_is_killed(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh('echo "$$ $PPID"; echo ready; sleep 8', num_replicas=3, min_replicas=2))
    for k in range(3):
        reaches(runner, handle, "ready", k=k)
    os.kill(step_daemon(runner, handle), signal.SIGKILL)
    found = ends(runner, handle, AppState.SUCCEEDED)
    assert [r.state for r in found.roles[0].replicas] == [AppState.FAILED, AppState.SUCCEEDED, AppState.SUCCEEDED]


def test_a_lost_step_gives_its_memory_to_the_next(runner: Runner, cluster: SlurmCluster) -> None:
    role = sh(STAYS, resource=Resource(cpu=1), max_retries=1, retry_policy=RetryPolicy.APPLICATION)
    handle = run(runner, role, sbatch_args=["--mem=0"])
    reaches(runner, handle, "ready")
    os.kill(step_daemon(runner, handle), signal.SIGKILL)
    ends(runner, handle, AppState.SUCCEEDED, 90)


def without_its_daemon(runner: Runner, cluster: SlurmCluster, script: str) -> tuple[str, int]:
    """A job whose batch step's slurmstepd was killed, so that Slurm won't hear of its end; its handle and number."""
    handle = run(runner, sh(script))
    reaches(runner, handle, "ready")
    os.kill(parent(supervisor(runner, handle)), signal.SIGKILL)
    (number,) = jobs_of(cluster, app_id(handle))
    return handle, int(number)


def holds_nodes(cluster: SlurmCluster, number: int) -> bool:
    return str(number) in cluster.command("squeue", "--noheader", "--format=%A").split()


def test_the_batch_steps_daemon_is_killed(runner: Runner, cluster: SlurmCluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    handle, number = without_its_daemon(runner, cluster, f"echo ready; until [ -e {go} ]; do sleep 0.1; done")
    go.touch()
    ends(runner, handle, AppState.SUCCEEDED)
    until(lambda: not holds_nodes(cluster, number))


def test_cancel_without_the_batch_steps_daemon(runner: Runner, cluster: SlurmCluster) -> None:
    handle, number = without_its_daemon(runner, cluster, STAYS)
    began = time.monotonic()
    runner.cancel(handle)
    ends(runner, handle, AppState.CANCELLED)
    assert time.monotonic() - began < 12
    until(lambda: not holds_nodes(cluster, number))


def test_scancel_without_the_batch_steps_daemon(runner: Runner, cluster: SlurmCluster) -> None:
    handle, number = without_its_daemon(runner, cluster, STAYS)
    running = program(runner, handle)
    cluster.command("scancel", str(number))
    found = ends(runner, handle, AppState.CANCELLED)
    assert "own commands" in found.msg
    until(lambda: not lives(running) and not holds_nodes(cluster, number))
    time.sleep(6)  # it would be put back into the queue
    assert not holds_nodes(cluster, number)
    assert status(runner, handle).state is AppState.CANCELLED


def test_a_node_goes_on_that_slurm_took_for_lost(runner: Runner, cluster: SlurmCluster, xrun_home: Path) -> None:
    """Its daemon is gone, what it has started is not; the job runs again elsewhere."""
    script = 'echo "$$ $PPID"; echo ready; [ "$XRUN_ATTEMPT" -gt 0 ] || exec sleep 600; sleep 8; echo done'
    handle = run(runner, sh(script, num_replicas=2))
    for k in range(2):
        reaches(runner, handle, "ready", k=k)
    first = [program(runner, handle, k) for k in range(2)]
    helpers = below(supervisor(runner, handle))
    node = status(runner, handle).roles[0].replicas[0].hostname
    os.kill(int((cluster.folder / f"{node}.pid").read_text()), signal.SIGKILL)
    cluster.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")
    try:
        found = ends(runner, handle, AppState.SUCCEEDED, 120)
        assert not any(map(lives, first + helpers))
    finally:
        cluster.restore(node)
    assert [r.attempt for r in found.roles[0].replicas] == [1, 1]
    assert node not in [r.hostname for r in found.roles[0].replicas]
    assert list(runner.log_lines(handle, "main", 0)).count("done\n") == 1
    assert (xrun_home / "slurm" / app_id(handle) / "job.log").read_text().count("verdict") == 1


def test_what_waits_for_a_step_is_killed(runner: Runner, cluster: SlurmCluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    handle = run(runner, sh(f"echo ready; until [ -e {go} ]; do sleep 0.1; done", num_replicas=2))
    for k in range(2):
        reaches(runner, handle, "ready", k=k)
    os.kill(parent(srun(runner, handle)), signal.SIGKILL)
    if not (found := status(runner, handle)).is_terminal():
        go.touch()
        found = ends(runner, handle, AppState.SUCCEEDED, 30)
    assert found.state is AppState.SUCCEEDED
    (number,) = jobs_of(cluster, app_id(handle)) or ["0"]
    until(lambda: not holds_nodes(cluster, int(number)))


@pytest.mark.parametrize("lost", [0, 1])
def test_the_node_of_a_component_goes_on_that_slurm_took_for_lost(
    runner: Runner, cluster: SlurmCluster, lost: int
) -> None:
    script = 'echo "$$ $PPID"; echo ready; [ "$XRUN_ATTEMPT" -gt 0 ] || exec sleep 600; echo done'
    handle = run(runner, sh(script, "main"), sh(script, "other"))
    for name in ("main", "other"):
        reaches(runner, handle, "ready", role=name)
    node = status(runner, handle).roles[lost].replicas[0].hostname
    os.kill(int((cluster.folder / f"{node}.pid").read_text()), signal.SIGKILL)
    cluster.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")
    try:
        found = ends(runner, handle, AppState.SUCCEEDED, 120)
    finally:
        cluster.restore(node)
    assert [r.attempt for role in found.roles for r in role.replicas] == [1, 1]


def test_the_supervisor_is_killed(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(STAYS, num_replicas=2), max_runtime=300)
    for k in range(2):
        reaches(runner, handle, "ready", k=k)
    programs = [program(runner, handle, k) for k in range(2)]
    script = supervisor(runner, handle)
    helpers = below(script)
    assert any("sleep" in command(pid) or "tail" in command(pid) for pid in helpers)
    os.kill(script, signal.SIGKILL)
    found = ends(runner, handle, AppState.FAILED)
    assert "its script failed" in found.msg
    until(lambda: not any(map(lives, programs + helpers)))
