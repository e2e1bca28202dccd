"""What the contract doesn't say about task-spooler's scheduler: the queue, and what happens without it."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xrun.errors import BackendError
from xrun.schedulers.api import Scheduler
from xrun.specs import AppDef, AppState, Role

SOURCE = Path(__file__).parents[2] / "examples" / "tsp" / "xrun_tsp.py"

needs_tsp = pytest.mark.skipif(
    not shutil.which("tsp"), reason="there is no task-spooler here: apt-get install task-spooler"
)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("xrun_tsp", SOURCE)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def tsp(module: ModuleType, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler[Any]]:
    xrun_home.mkdir()
    monkeypatch.setenv("TS_SOCKET", str(xrun_home / "socket"))
    yield module.create_scheduler("default")
    subprocess.run(["tsp", "-K"], check=True)


def submit(tsp: Scheduler[Any], script: str) -> str:
    return tsp.submit(AppDef("job", [Role("main", entrypoint="sh", args=["-c", script])]), {"grace_period": 1})


def state(tsp: Scheduler[Any], app_id: str) -> tuple[AppState, str]:
    there = tsp.describe(app_id)
    assert there is not None
    return there.status.state, there.status.msg


@needs_tsp
def test_jobs_wait_for_each_other(tsp: Scheduler[Any]) -> None:
    first = submit(tsp, "echo ready; trap 'exit 0' TERM; sleep 60 & wait")
    second = submit(tsp, "echo second")
    assert next(tsp.log_iter(first, "main", should_tail=True)) == "ready\n"
    assert state(tsp, second) == (AppState.PENDING, "")
    tsp.cancel(first)
    assert list(tsp.log_iter(second, "main", should_tail=True)) == ["second\n"]
    assert state(tsp, second) == (AppState.SUCCEEDED, "")


@needs_tsp
def test_a_waiting_job_leaves_the_queue_when_cancelled(tsp: Scheduler[Any]) -> None:
    first = submit(tsp, "sleep 60")
    second = submit(tsp, "echo second")
    tsp.cancel(second)
    assert state(tsp, second)[0] == AppState.CANCELLED
    assert second not in subprocess.run(["tsp"], capture_output=True, text=True).stdout
    tsp.delete(second)
    tsp.delete(first)
    assert tsp.list() == []
    assert subprocess.run(["tsp"], capture_output=True, text=True).stdout.count("\n") == 1


@needs_tsp
def test_a_job_whose_queue_went_away_is_lost(tsp: Scheduler[Any]) -> None:
    first = submit(tsp, "echo ready; trap 'exit 0' TERM; sleep 60 & wait")
    second = submit(tsp, "echo second")
    assert next(tsp.log_iter(first, "main", should_tail=True)) == "ready\n"
    subprocess.run(["tsp", "-K"], check=True)
    end = time.monotonic() + 30
    while subprocess.run(["tsp"], capture_output=True).returncode:  # the old one still answers, with an error
        assert time.monotonic() < end
        time.sleep(0.01)
    assert state(tsp, second) == (AppState.FAILED, "lost before it began")
    tsp.cancel(first)  # the queue went away, the job didn't
    assert state(tsp, first)[0] == AppState.CANCELLED


@needs_tsp
def test_probe(tsp: Scheduler[Any]) -> None:
    assert [probe.detail for probe in tsp.probe()] == ["jobs at once: 1"]


def test_without_task_spooler(module: ModuleType, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(xrun_home.parent))
    scheduler = module.create_scheduler("default")
    with pytest.raises(BackendError, match="apt-get install task-spooler"):
        submit(scheduler, "true")
    assert scheduler.list() == []
