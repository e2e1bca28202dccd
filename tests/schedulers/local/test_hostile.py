"""What strangers did to it: each of these once left a job running for ever, lost, or doubled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from xrun.schedulers.local import state
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs import AppState, Resource, RetryPolicy
from xrun.specs.status import AppStatus

from .conftest import cli, end_of, processes_of, sh, supervisor_pid, until

MONTHS = 100 * 86400


def status_of(local: LocalScheduler, app_id: str) -> AppStatus:
    there = local.describe(app_id)
    assert there is not None
    return there.status


def output_of(local: LocalScheduler, app_id: str) -> bytes:
    return b"".join(chunk.data for chunk in local.logs(app_id, LogQuery()))


def test_limits_of_months(local: LocalScheduler) -> None:
    app_id = local.submit(sh("sleep 0.1"), {"max_runtime": MONTHS, "grace_period": MONTHS})
    assert end_of(local, app_id, timeout=MONTHS).state is AppState.SUCCEEDED
    app_id = local.submit(sh("sleep 300"), {"grace_period": MONTHS})
    local.cancel(app_id)
    assert status_of(local, app_id).state is AppState.CANCELLED


def test_a_killed_supervisor_that_waits_for_gpus_is_not_pending_for_ever(local: LocalScheduler) -> None:
    first = local.submit(sh("sleep 300", resource=Resource(gpu=1)), {"gpus": 1})
    until(lambda: status_of(local, first).state is AppState.RUNNING)
    second = local.submit(sh("sleep 300", resource=Resource(gpu=1)), {"gpus": 1})
    until(lambda: "waiting" in status_of(local, second).msg)
    record = state.read(second)
    assert record is not None
    os.kill(record.supervisor, signal.SIGKILL)
    assert end_of(local, second).state is AppState.FAILED


def test_no_replica_of_an_ended_app_is_running(local: LocalScheduler) -> None:
    app_id = local.submit(sh("sleep 300"), {})
    os.kill(supervisor_pid(local, app_id), signal.SIGKILL)
    end_of(local, app_id)
    for _ in range(2):  # before and after the books are closed
        assert status_of(LocalScheduler(), app_id).roles[0].replicas[0].state is AppState.FAILED


def test_retries_of_what_can_not_be_started_leave_room_for_a_cancel(local: LocalScheduler) -> None:
    app = sh("", max_retries=10**8, retry_policy=RetryPolicy.REPLICA)
    app.roles[0].entrypoint = "no-such-program"
    app_id = local.submit(app, {})
    until(lambda: status_of(local, app_id).roles[0].replicas[0].attempt > 3)
    local.cancel(app_id)
    assert status_of(local, app_id).state is AppState.CANCELLED


@pytest.mark.parametrize(
    ("text", "seconds"), [("exec env -i sleep 4711", "4711"), ("env -i setsid sleep 4712 & wait", "4712")]
)
def test_replicas_that_change_their_environment_are_ended_too(local: LocalScheduler, text: str, seconds: str) -> None:
    app_id = local.submit(sh(text), {})
    pid = until(partial(_running, seconds))
    if "exec" in text:
        os.kill(supervisor_pid(local, app_id), signal.SIGKILL)
        end_of(local, app_id)
        LocalScheduler().list()
    else:
        local.cancel(app_id)
    assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_forked_process_makes_a_forker_of_its_own(local: LocalScheduler) -> None:
    end_of(local, local.submit(sh("exit 0"), {}))
    code = 70
    pid = os.fork()
    if pid == 0:
        try:
            code = 0 if end_of(local, local.submit(sh("exit 0"), {})).state is AppState.SUCCEEDED else 1
            local.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert end_of(local, local.submit(sh("exit 0"), {})).state is AppState.SUCCEEDED


def test_a_killed_forker_is_replaced(local: LocalScheduler) -> None:
    end_of(local, local.submit(sh("exit 0"), {}))
    forker = local._client._forker
    assert forker is not None
    os.kill(forker._process.pid, signal.SIGKILL)
    assert end_of(local, local.submit(sh("exit 0"), {})).state is AppState.SUCCEEDED


def test_one_unreadable_app_does_not_stop_the_home(local: LocalScheduler, xrun_home: Path) -> None:
    (xrun_home / "local/apps/bad-00000/record").mkdir(parents=True)
    (xrun_home / "local/live").mkdir(parents=True)
    (xrun_home / "local/live/bad-00000").touch()
    assert cli("utils.echo").returncode == 0
    assert "echo-" in cli("list").stdout
    assert cli("delete", "local://default/bad-00000").returncode == 0


def test_output_after_a_truncation_is_shown(local: LocalScheduler) -> None:
    app_id = local.submit(sh("seq 1 200; sleep 0.2; echo A > /dev/stdout; sleep 0.2; seq 201 210; echo last"), {})
    end_of(local, app_id)
    assert output_of(local, app_id) == b"A\n" + b"".join(b"%d\n" % n for n in range(201, 211)) + b"last\n"
    assert output_of(local, app_id) == output_of(local, app_id)


def test_a_cancel_from_another_network_namespace(local: LocalScheduler) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("another network namespace takes root")
    app_id = local.submit(sh("echo ready; sleep 300"), {})
    until(lambda: output_of(local, app_id))
    words = ["unshare", "-n", sys.executable, "-m", "xrun", "cancel", f"local://default/{app_id}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert status_of(local, app_id).state is AppState.CANCELLED


def test_a_pipe_for_an_error_file_does_not_block(local: LocalScheduler) -> None:
    app_id = local.submit(sh('mkfifo "$XRUN_ERROR_FILE"; exit 3'), {})
    assert end_of(local, app_id).state is AppState.FAILED


def test_a_relative_home_is_the_launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XRUN_HOME", "here")
    assert cli("utils.echo").returncode == 0
    assert os.listdir(tmp_path / "here/local/live") == []
    assert not Path("/here").exists()


def test_five_hundred_replicas(local: LocalScheduler) -> None:
    app_id = local.submit(sh("echo $XRUN_REPLICA_ID", num_replicas=500), {})
    assert end_of(local, app_id).state is AppState.SUCCEEDED
    assert sorted(map(int, output_of(local, app_id).split())) == list(range(500))
    until(lambda: processes_of(app_id) == [])


def _running(argument: str) -> int:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{name}/cmdline").read_bytes() == f"sleep\0{argument}\0".encode():
                return int(name)
        except OSError:
            continue
    return 0
