"""The controller goes away and comes back while somebody waits, follows or submits: nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.slurm.jobs import UNTIL_STOPPED, app_id, ends, jobs_of, reaches, run, sh, status, until
from tests.systems.slurm_cluster import SCRIPT, SlurmCluster
from xrun.errors import BackendUnavailable
from xrun.runner import Runner
from xrun.schedulers.slurm import submission
from xrun.specs.app import AppDef
from xrun.specs.role import Role
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("slurm-failures"), pytest.mark.timeout(240)]

SUCCEEDED, RUNNING, CANCELLED = AppState.SUCCEEDED, AppState.RUNNING, AppState.CANCELLED
FAILED = AppState.FAILED


@pytest.fixture(autouse=True)
def _back_again(cluster: SlurmCluster) -> Iterator[None]:
    """Whatever a test did, the controller is there for the next one."""
    yield
    cluster.start("slurmctld")


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """Does something in a thread."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that `GATED` waits for."""
    return tmp_path / "gate"


def follow(runner: Runner, handle: str, lines: list[str]) -> None:
    """Appends each line as it comes."""
    for line in runner.log_lines(handle, "main", 0, should_tail=True):
        lines.append(line)  # noqa: PERF402 - somebody looks at them meanwhile


def gated(gate: Path, **fields: Any) -> Role:
    """A role that says ``ready`` and counts to 40 in 8 seconds, and ends when the file is there."""
    return sh(
        f'echo ready; for i in $(seq 40); do echo $i; sleep 0.2; done; until [ -e "{gate}" ]; do sleep 0.1; done',
        **fields,
    )


COUNTED = ["ready\n", *(f"{i}\n" for i in range(1, 41))]


@pytest.mark.parametrize("code", [0, 1])
def test_it_forgets_that_a_job_has_ended(runner: Runner, xrun_home: Path, tmp_path: Path, code: int) -> None:
    """One that was killed keeps its state a few seconds late, and starts the script again as if it never had."""
    handle = run(runner, sh(f"echo once >>{tmp_path}/ran; exit {code}"))
    found = ends(runner, handle, FAILED if code else SUCCEEDED)
    folder = xrun_home / "slurm" / app_id(handle)
    before = (folder / "job.log").read_text()
    again = {**os.environ, "SLURM_JOB_ID": found.native_id, "SLURM_JOB_NODELIST": "n1"}
    done = subprocess.run(["sh", folder / "job.sh"], env=again, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert (folder / "job.log").read_text() == before
    assert (tmp_path / "ran").read_text() == "once\n"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_waiting_and_following_outlast_it(
    runner: Runner,
    cluster: SlurmCluster,
    meanwhile: Callable[..., Future[Any]],
    xrun_home: Path,
    gate: Path,
    how: str,
) -> None:
    handle = run(runner, gated(gate))
    reaches(runner, handle, "ready")
    cluster.saved()
    waiting = meanwhile(ends, runner, handle, SUCCEEDED, 120)
    followed: list[str] = []
    following = meanwhile(follow, runner, handle, followed)
    until(lambda: followed)
    getattr(cluster, how)("slurmctld")
    # it ends while nobody can be asked, and is told of later
    gate.touch()
    until(lambda: "verdict" in (xrun_home / "slurm" / app_id(handle) / "job.log").read_text())
    assert not waiting.done()
    cluster.start("slurmctld")
    assert waiting.result().num_restarts == 0
    following.result()
    assert followed == COUNTED


def test_an_outage_that_is_longer_than_the_patience_of_slurms_commands(
    runner: Runner,
    cluster: SlurmCluster,
    meanwhile: Callable[..., Future[Any]],
    wrapped: Callable[[str, str], Path],
    gate: Path,
) -> None:
    # it has not ended when the controller comes back, so only that can tell
    handle = run(runner, gated(gate))
    reaches(runner, handle, "ready")
    here = wrapped("squeue", '$real "$@" || { echo failed >>"$here/calls"; exit 1; }')
    (here / "calls").touch()
    waiting = meanwhile(ends, runner, handle, SUCCEEDED, 120)
    followed: list[str] = []
    following = meanwhile(follow, runner, handle, followed)
    until(lambda: followed)
    cluster.stop("slurmctld")
    until(lambda: len((here / "calls").read_text().split()) >= 3, 60)
    assert not waiting.done()
    assert not following.done()
    cluster.start("slurmctld")
    gate.touch()
    assert waiting.result().num_restarts == 0
    following.result()
    assert followed == COUNTED


def test_a_submission_waits_for_it(
    runner: Runner,
    cluster: SlurmCluster,
    meanwhile: Callable[..., Future[Any]],
    wrapped: Callable[[str, str], Path],
) -> None:
    here = wrapped("sbatch", 'touch "$here/called"; exec $real "$@"')
    cluster.stop("slurmctld")
    submitting = meanwhile(run, runner, sh("echo once"))
    until(lambda: (here / "called").exists() or submitting.done())
    cluster.start("slurmctld")
    handle = submitting.result()
    ends(runner, handle, SUCCEEDED)
    assert list(runner.log_lines(handle, "main", 0)) == ["once\n"]
    assert len(jobs_of(cluster, app_id(handle))) <= 1


def test_it_stays_away(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, handle, "ready")
    cluster.stop("slurmctld")
    with pytest.raises(BackendUnavailable, match="slurm"):
        run(runner, sh("echo never"))
    with pytest.raises(BackendUnavailable, match="slurm"):
        runner.cancel(handle)
    cluster.start("slurmctld")
    assert status(runner, handle).state == RUNNING
    runner.cancel(handle)
    assert status(runner, handle).state == CANCELLED


def test_logs_need_no_controller(runner: Runner, cluster: SlurmCluster, gate: Path) -> None:
    handle = run(runner, gated(gate))
    reaches(runner, handle, "40")
    cluster.stop("slurmctld")
    assert list(runner.log_lines(handle, "main", 0)) == COUNTED
    printed = subprocess.run([sys.executable, "-m", "xrun", "log", handle], capture_output=True, text=True)
    assert (printed.returncode, printed.stdout) == (0, "".join(COUNTED)), printed.stderr
    gate.touch()
    assert list(runner.log_lines(handle, "main", 0, should_tail=True)) == COUNTED
    cluster.start("slurmctld")
    ends(runner, handle, SUCCEEDED)


def test_it_goes_as_soon_as_it_has_the_job(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "_PATIENCE", 2)
    # the job is there, the answer is not, and nobody can be asked
    wrapped("sbatch", f'$real "$@"; "{SCRIPT}" stop "{cluster.folder}" slurmctld; exit 1')
    with pytest.raises(BackendUnavailable):
        runner.run(AppDef("job", [sh("echo once")]), "slurm", request_id="the same")
    wrapped("sbatch", 'exec $real "$@"')
    cluster.start("slurmctld")
    handle = str(runner.run(AppDef("job", [sh("echo once")]), "slurm", request_id="the same"))
    ends(runner, handle, SUCCEEDED)
    assert list(runner.log_lines(handle, "main", 0)) == ["once\n"]
