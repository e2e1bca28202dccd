"""What a supervisor's death leaves, and who clears it up."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from xrun.schedulers.local import state
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs import AppDef, AppState, Role

from .conftest import cli, end_of, processes_of, sh, supervisor_pid, until

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "5"))


def test_a_killed_supervisor_is_a_failure_and_its_leftovers_are_ended_by_the_next_command(local: LocalScheduler) -> None:
    for _ in range(ROUNDS):
        roles = [
            Role("quick", entrypoint="sh", args=["-c", "exit 0"]),
            Role("slow", entrypoint="sh", args=["-c", "setsid sleep 300 & sleep 300"]),
        ]
        app_id = local.submit(AppDef("job", roles), {})
        until(lambda app_id=app_id: local.describe(app_id).status.roles[0].replicas[0].state is AppState.SUCCEEDED)
        until(lambda app_id=app_id: len(processes_of(app_id)) >= 3)
        pid = _supervisor_of(app_id)
        time.sleep(random.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        status = end_of(local, app_id)
        assert status.state is AppState.FAILED
        assert status.msg == "exit code unknown: supervisor killed"
        assert status.roles[0].replicas[0].exit_code == 0, "a code written before is kept"
        assert status.roles[1].replicas[0].exit_code is None
        done = cli("list")
        assert done.returncode == 0, done.stderr
        assert processes_of(app_id) == []
        assert f"local://default/{app_id}\tFAILED" in done.stdout


def test_supervisors_killed_while_they_start_leave_no_job_that_runs_for_ever(local: LocalScheduler) -> None:
    for round_ in range(ROUNDS * 2):
        app_id = local.submit(sh("sleep 300"), {})
        pid = _supervisor_of(app_id, wait=False)
        if pid:
            time.sleep(0.001 * (round_ % 5))
            os.kill(pid, signal.SIGKILL)
        assert end_of(local, app_id).state is AppState.FAILED
    LocalScheduler().list()
    until(lambda: [p for row in local.list() for p in processes_of(row.app_id)] == [])


def test_a_half_written_event_is_passed_over(local: LocalScheduler, xrun_home: Path) -> None:
    app_id = local.submit(sh("exit 0"), {})
    end_of(local, app_id)
    until(lambda: not state.is_supervised(app_id))
    events = xrun_home / "local/apps" / app_id / state.EVENTS
    whole = events.read_bytes().split(b"\0", 1)[0]
    last = whole.splitlines(keepends=True)[-1]
    events.write_bytes(whole[: -len(last) // 2])
    os.truncate(events, 4096)
    status = local.describe(app_id).status  # type: ignore[union-attr]
    assert status.state is AppState.FAILED, "no verdict and no supervisor"
    assert status.roles[0].replicas[0].exit_code == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"app": {"name": 3}}'])
def test_a_damaged_app_file_is_said_and_can_be_deleted(local: LocalScheduler, xrun_home: Path, content: bytes) -> None:
    app_id = local.submit(sh("exit 0"), {})
    end_of(local, app_id)
    path = xrun_home / "local/apps" / app_id / state.APP
    path.write_bytes(content)
    for verb in ("status", "log", "wait"):
        done = cli(verb, f"local://default/{app_id}")
        assert "Traceback" not in done.stderr
    assert str(path) in cli("status", f"local://default/{app_id}").stdout
    assert cli("list").returncode == 0
    assert cli("delete", f"local://default/{app_id}").returncode == 0
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not json\n", b'{"e":"state"}\n', b'[1]\n{"e":"start"}\n', b"\xff" * 50])
def test_damaged_events_never_run_for_ever(local: LocalScheduler, xrun_home: Path, content: bytes) -> None:
    app_id = local.submit(sh("exit 0"), {})
    end_of(local, app_id)
    until(lambda: not state.is_supervised(app_id))
    (xrun_home / "local/apps" / app_id / state.EVENTS).write_bytes(content)
    done = cli("wait", f"local://default/{app_id}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "FAILED" in done.stdout


def test_an_empty_folder_under_an_apps_name_is_no_running_job(local: LocalScheduler, xrun_home: Path) -> None:
    (xrun_home / "local/apps/stale-aaaaa").mkdir(parents=True)
    done = cli("status", "local://default/stale-aaaaa")
    assert done.returncode == 0
    assert "FAILED" in done.stdout
    assert cli("delete", "local://default/stale-aaaaa").returncode == 0


def test_a_folder_that_was_never_finished_is_swept(local: LocalScheduler, xrun_home: Path) -> None:
    live = xrun_home / "local/live"
    stale = live / "job-aaaaa.123.new"
    stale.mkdir(parents=True)
    (stale / state.LOCK).touch()
    os.utime(stale, (1, 1))
    fresh = live / "job-bbbbb.124.new"
    fresh.mkdir()
    local.list()
    assert not stale.exists()
    assert fresh.exists(), "what may still be in the making is left alone"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"host": "another", "name": "n7"}, "runs on n7"),
        ({"pidns": "pid:[1]"}, "runs in another container"),
        ({"boot": "an earlier one"}, "the machine was rebooted"),
    ],
)
def test_jobs_of_another_host_or_boot(local: LocalScheduler, xrun_home: Path, change: dict[str, str], text: str) -> None:
    app_id = local.submit(sh("sleep 300"), {})
    pid = supervisor_pid(local, app_id)
    path = xrun_home / "local/apps" / app_id / state.APP
    head = json.loads(path.read_text())
    head["host"] |= change
    rebooted = "boot" in change
    if rebooted:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not state.is_supervised(app_id))
    path.write_text(json.dumps(head))
    status = local.describe(app_id).status  # type: ignore[union-attr]
    assert text in status.msg
    assert status.state is (AppState.FAILED if rebooted else AppState.RUNNING)
    if not rebooted:
        assert LocalScheduler().list()[0].state is AppState.RUNNING, "another host's job is not swept"
        assert processes_of(app_id)
        head["host"] = state.host_identity()
        path.write_text(json.dumps(head))
        local.cancel(app_id)
    else:
        LocalScheduler().list()
        assert processes_of(app_id) == []


def test_waiting_for_a_job_of_another_host_says_where_it_runs(local: LocalScheduler, xrun_home: Path) -> None:
    app_id = local.submit(sh("exit 0"), {})
    end_of(local, app_id)
    folder = xrun_home / "local/apps" / app_id
    head = json.loads((folder / state.APP).read_text())
    head["host"] |= {"host": "another", "name": "n7"}
    (folder / state.APP).write_text(json.dumps(head))
    (folder / state.EVENTS).write_bytes(b'{"e":"state","t":1,"state":"RUNNING"}\n')
    done = cli("wait", f"local://default/{app_id}")
    assert done.returncode == 4
    assert "runs on n7" in done.stderr
    shutil.rmtree(folder)


def test_the_clock_may_be_set_back(local: LocalScheduler, xrun_home: Path) -> None:
    app_id = local.submit(sh("echo one; sleep 0.05; echo two"), {"max_runtime": 20})
    end_of(local, app_id)
    events = xrun_home / "local/apps" / app_id / state.EVENTS
    lines = [json.loads(line) for line in events.read_bytes().split(b"\0", 1)[0].splitlines()]
    for i, line in enumerate(lines):
        line["t"] = 1e9 - i  # each event before the one that caused it
    events.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    assert local.describe(app_id).status.state is AppState.SUCCEEDED  # type: ignore[union-attr]
    assert b"".join(c.data for c in local.logs(app_id, LogQuery())) == b"one\ntwo\n"


def test_a_supervisor_told_to_stop_cancels_its_job(local: LocalScheduler) -> None:
    app_id = local.submit(sh("sleep 300"), {})
    os.kill(supervisor_pid(local, app_id), signal.SIGTERM)
    assert end_of(local, app_id).state is AppState.CANCELLED


def test_hangup_and_the_death_of_everything_else_leave_a_job_alone(local: LocalScheduler) -> None:
    app_id = local.submit(sh("read x < /dev/stdin; sleep 0.5; exit 0"), {})
    os.kill(supervisor_pid(local, app_id), signal.SIGHUP)
    local.close()  # the forker is gone
    assert end_of(local, app_id).state is AppState.SUCCEEDED


def _supervisor_of(app_id: str, *, wait: bool = True) -> int:
    """The process that holds an app's lock."""
    inode = os.stat(os.path.join(state.folder_of(app_id), state.LOCK)).st_ino

    def holder() -> int:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                return int(words[4])
        return 0

    return int(until(holder)) if wait else holder()
