"""What is special about the in-memory scheduler: whose jobs it knows, what ends them, and that nothing is left."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time

import pytest

from xrun.runner import Runner, get_runner
from xrun.schedulers.memory.scheduler import MemoryScheduler
from xrun.specs import AppDef, AppState, Role, from_yaml, to_dict

WAITS = "trap 'exit 0' TERM; echo $$; sleep 60 & wait"


def app(script: str, **fields: object) -> AppDef:
    role = Role("main", entrypoint="sh", args=["-c", script])
    for name, value in fields.items():
        setattr(role, name, value)
    return AppDef("job", [role])


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("xrun-")]


def first_line(runner: Runner, handle: str) -> str:
    return next(runner.log_lines(handle, "main", should_tail=True))


def test_close_cancels_what_runs_and_joins_its_threads() -> None:
    runner = get_runner()
    handles = [runner.run(app(WAITS), "memory") for _ in range(5)]
    pids = [int(first_line(runner, handle)) for handle in handles]
    runner.close()
    assert threads() == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_scheduler_knows_only_its_own_jobs() -> None:
    first, second = MemoryScheduler(), MemoryScheduler()
    app_id = first.submit(app("exit 0"), {})
    assert first.exists(app_id)
    assert not second.exists(app_id)
    assert second.list() == []
    first.close()
    second.close()


def test_jobs_end_with_the_process_even_if_nobody_closes() -> None:
    code = (
        "from xrun.runner import get_runner; from xrun.specs import *; runner = get_runner()\n"
        f"handle = runner.run(AppDef('job', [Role('main', entrypoint='sh', args=['-c', {WAITS!r}])]), 'memory')\n"
        "print(next(runner.log_lines(handle, 'main', should_tail=True)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_no_files_threads_or_descriptors_are_left() -> None:
    with get_runner() as runner:
        runner.wait(runner.run(app("exit 0"), "memory"))
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        handles = [
            runner.run(app("echo out; echo err >&2; exit 3", num_replicas=3, max_retries=2), "memory") for _ in range(9)
        ]
        for handle in handles:
            runner.wait(handle)
            runner.delete(handle)
        assert threads() == []
        assert len(os.listdir("/proc/self/fd")) <= before  # what another test left may be closed meanwhile


def test_a_hundred_jobs_at_once() -> None:
    with get_runner() as runner:
        handles = [runner.run(app("echo $XRUN_APP_ID"), "memory") for _ in range(100)]
        for handle in handles:
            status = runner.wait(handle, timeout=60)
            assert status is not None
            assert status.state == AppState.SUCCEEDED
            assert first_line(runner, handle) == handle.rpartition("/")[2] + "\n"


def test_the_render_is_the_job_as_yaml() -> None:
    with get_runner() as runner:
        job = app("echo ${app_id}")
        assert to_dict(from_yaml(str(runner.dryrun(job, "memory")))) == to_dict(job)


def test_waiting_does_not_poll() -> None:
    with get_runner() as runner:
        handle = runner.run(app("sleep 1"), "memory")
        before = time.process_time()
        runner.wait(handle)
        assert time.process_time() - before < 0.05


def test_a_process_that_left_the_session_does_not_hold_the_job() -> None:
    with get_runner() as runner:
        handle = runner.run(app("setsid sleep 3 & echo done"), "memory")
        began = time.monotonic()
        status = runner.wait(handle)
        assert status is not None
        assert status.state == AppState.SUCCEEDED
        assert time.monotonic() - began < 2
        assert list(runner.log_lines(handle, "main")) == ["done\n"]


def test_a_thousand_retries_of_what_can_not_start() -> None:
    with get_runner() as runner:
        job = app("", max_retries=1000)
        job.roles[0].entrypoint = "no-such-program"
        status = runner.wait(runner.run(job, "memory"))
        assert status is not None
        assert (status.state, status.num_restarts) == (AppState.FAILED, 1000)
