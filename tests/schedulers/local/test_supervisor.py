"""What a supervisor's death leaves, and who clears it up."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from xrun.schedulers.local import state
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs import AppDef, AppState, Role

from .conftest import cli, end_of, processes_of, sh, supervisor_pid, until

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "5"))


def test_a_killed_supervisor_is_a_failure_and_its_leftovers_are_ended_by_the_next_command(
    local: LocalScheduler,
) -> None:
    for _ in range(ROUNDS):
        roles = [
            Role("quick", entrypoint="sh", args=["-c", "exit 0"]),
            Role("slow", entrypoint="sh", args=["-c", "setsid sleep 300 & sleep 300"]),
        ]
        app_id = local.submit(AppDef("job", roles), {})
        until(partial(_first_succeeded, local, app_id))
        until(partial(_has_processes, app_id))
        pid = _supervisor_of(app_id)
        time.sleep(random.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        status = end_of(local, app_id)
        assert status.state is AppState.FAILED
        assert status.msg == "exit code unknown: supervisor killed"
        assert status.roles[0].replicas[0].exit_code == 0, "a code written before is kept"
        assert status.roles[1].replicas[0].exit_code is None
        done = cli("list", "--all")
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


def test_a_half_written_event_is_passed_over(local: LocalScheduler) -> None:
    app_id = _ended(local)
    lines = _record(app_id)
    _rewrite(app_id, [*lines[:-1], lines[-1][: len(lines[-1]) // 2]], end=b"\0" * 4096)
    status = local.describe(app_id).status  # type: ignore[union-attr]
    assert status.state is AppState.FAILED, "no verdict and no supervisor"
    assert status.roles[0].replicas[0].exit_code == 0


@pytest.mark.parametrize("head", [b"", b"{", b"\xff\xfe", b"[]", b'{"app": {"name": 3}}', b"\0\0"])
def test_a_damaged_head_is_said_and_can_be_deleted(local: LocalScheduler, head: bytes) -> None:
    app_id = _ended(local)
    _rewrite(app_id, [head, *_record(app_id)[1:]])
    for verb in ("status", "log", "wait"):
        done = cli(verb, f"local://default/{app_id}")
        assert "Traceback" not in done.stderr
    path = os.path.join(state.folder_of(app_id), state.RECORD)
    assert f"damaged: {path}" in cli("status", f"local://default/{app_id}").stdout
    assert cli("list").returncode == 0
    assert cli("delete", f"local://default/{app_id}").returncode == 0
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    "events", [[], [b"\0" * 100], [b"not json"], [b'{"e":"state"}'], [b"[1]", b'{"e":"start"}'], [b"\xff" * 50]]
)
def test_damaged_events_never_run_for_ever(local: LocalScheduler, events: list[bytes]) -> None:
    app_id = _ended(local)
    _rewrite(app_id, [_record(app_id)[0], *events])
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
    (stale / state.RECORD).touch()
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
def test_jobs_of_another_host_or_boot(local: LocalScheduler, change: dict[str, str], text: str) -> None:
    app_id = local.submit(sh("sleep 300"), {})
    pid = supervisor_pid(local, app_id)
    line, *events = _record(app_id)
    head = json.loads(line)
    head["host"] |= change
    rebooted = "boot" in change
    if rebooted:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not state.is_supervised(app_id))
    _rewrite(app_id, [json.dumps(head).encode(), *events])
    status = local.describe(app_id).status  # type: ignore[union-attr]
    assert text in status.msg
    assert status.state is (AppState.FAILED if rebooted else AppState.RUNNING)
    if not rebooted:
        assert LocalScheduler().list()[0].state is AppState.RUNNING, "another host's job is not swept"
        assert processes_of(app_id)
        _rewrite(app_id, [line, *events])
        local.cancel(app_id)
    else:
        LocalScheduler().list()
        assert processes_of(app_id) == []


def test_waiting_for_a_job_of_another_host_says_where_it_runs(local: LocalScheduler) -> None:
    app_id = _ended(local)
    head = json.loads(_record(app_id)[0])
    head["host"] |= {"host": "another", "name": "n7"}
    _rewrite(app_id, [json.dumps(head).encode(), b'{"e":"state","t":1,"state":"RUNNING"}'])
    done = cli("wait", f"local://default/{app_id}")
    assert done.returncode == 4
    assert "runs on n7" in done.stderr
    shutil.rmtree(state.folder_of(app_id))


def test_the_clock_may_be_set_back(local: LocalScheduler) -> None:
    app_id = local.submit(sh("echo one; sleep 0.05; echo two"), {"max_runtime": 20})
    end_of(local, app_id)
    until(lambda: not state.is_supervised(app_id))
    head, *lines = _record(app_id)
    events = [json.loads(line) for line in lines]
    for i, event in enumerate(events):
        event["t"] = 1e9 - i  # each before the one that caused it
    _rewrite(app_id, [head, *(json.dumps(event).encode() for event in events)])
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


def _first_succeeded(local: LocalScheduler, app_id: str) -> bool:
    there = local.describe(app_id)
    return there is not None and there.status.roles[0].replicas[0].state is AppState.SUCCEEDED


def _has_processes(app_id: str) -> bool:
    return len(processes_of(app_id)) >= 3


def _ended(local: LocalScheduler) -> str:
    """An app that has ended and whose supervisor is gone."""
    app_id = local.submit(sh("exit 0"), {})
    end_of(local, app_id)
    until(lambda: not state.is_supervised(app_id))
    return app_id


def _record(app_id: str) -> list[bytes]:
    """The lines of an app's record."""
    return Path(state.folder_of(app_id), state.RECORD).read_bytes().split(b"\0", 1)[0].splitlines()


def _rewrite(app_id: str, lines: list[bytes], end: bytes = b"\n") -> None:
    Path(state.folder_of(app_id), state.RECORD).write_bytes(b"\n".join(lines) + end)


def _supervisor_of(app_id: str, *, wait: bool = True) -> int:
    """The process that holds an app's lock."""
    inode = os.stat(os.path.join(state.folder_of(app_id), state.RECORD)).st_ino

    def holder() -> int:
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                return int(words[4])
        return 0

    return int(until(holder)) if wait else holder()
