"""Many jobs: how often Slurm is asked, and that nothing of it grows with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.slurm.jobs import sh, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.schedulers import create_scheduler
from xrun.schedulers.api import ListFilter, Scheduler
from xrun.specs.app import AppDef
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("slurm-failures"), pytest.mark.timeout(300)]

COUNT = 500
ASKS = ("squeue", "sacct", "scontrol", "sinfo")


@pytest.fixture
def asked(wrapped: Callable[[str, str], Path]) -> Callable[[], list[str]]:
    """Gives the commands that asked Slurm something, by name, and forgets them."""
    for name in ASKS:
        here = wrapped(name, f'echo {name} >>"$here/asked"; exec $real "$@"')
    calls = here / "asked"

    def take() -> list[str]:
        found = calls.read_text().split() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return found

    return take


@pytest.fixture
def slurm(xrun_home: Path) -> Iterator[Scheduler[Any]]:
    scheduler = create_scheduler("slurm", "default")
    yield scheduler
    scheduler.close()


def test_five_hundred_jobs(each_cluster: SlurmCluster, slurm: Scheduler[Any], asked: Callable[[], list[str]]) -> None:
    app = AppDef("many", [sh("true")])
    app_ids = [slurm.submit(app, {"sbatch_args": ["--hold"]}) for _ in range(COUNT)]
    assert len(set(app_ids)) == COUNT
    # a submission asks nothing
    assert asked() == []
    there = slurm.describe_many(app_ids)
    assert {one.status.state for one in there.values()} == {AppState.PENDING}
    assert len(there) == COUNT
    assert len(asked()) <= 2
    assert len(slurm.list(ListFilter(name="many"))) == COUNT
    assert len(asked()) <= 2
    looks = slurm.watch(app_ids, timeout=8)
    assert len(next(looks)) == COUNT
    polls = 1 + sum(1 for _ in looks)
    # it looks less and less often
    assert polls <= 5
    assert len(asked()) <= 2 * polls
    each_cluster.command("scancel", *(one.status.native_id for one in there.values()))
    until(lambda: {one.status.state for one in slurm.describe_many(app_ids).values()} == {AppState.CANCELLED}, 60)
    asked()
    # those that have ended are known by their folders
    slurm.describe_many(app_ids)
    assert asked() == []
