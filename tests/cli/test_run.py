"""run and render: streams, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import xrun

HANDLE = "local://default/"


def test_an_attached_run_keeps_the_streams_apart() -> None:
    done = xrun("utils.sh", "--", "echo out; echo err >&2")
    assert done.returncode == 0
    assert done.stdout == "out\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"xrun: {HANDLE}sh-")
    assert "err" in lines
    assert "SUCCEEDED" in lines[-1]


def test_lines_of_several_replicas_are_prefixed() -> None:
    done = xrun("utils.echo", "--msg", "hi", "--num_replicas", "2")
    assert sorted(done.stdout.splitlines()) == ["echo/0 hi", "echo/1 hi"]


def test_bytes_of_a_single_replica_are_passed_through() -> None:
    command = [sys.executable, "-m", "xrun", "utils.sh", "--", r"printf 'a\r\377\000b'"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.stdout == b"a\r\xff\x00b"


@pytest.mark.parametrize(("text", "code"), [("exit 0", 0), ("exit 9", 1), ("kill -9 $$", 1)])
def test_the_exit_code_is_the_jobs_end(text: str, code: int) -> None:
    assert xrun("utils.sh", "--", text).returncode == code
    assert xrun("run", "--wait", "utils.sh", "--", text).returncode == code


def test_detach_prints_the_handle_and_the_rest_goes_by_it() -> None:
    done = xrun("--detach", "utils.sh", "--", "echo hi; sleep 0.2; exit 3")
    handle = done.stdout.strip()
    assert done.stdout == f"{handle}\n"
    assert handle.startswith(HANDLE)
    assert done.stderr == ""
    assert xrun("status", handle).returncode == 0
    waited = xrun("wait", handle)
    assert waited.returncode == 1
    assert "FAILED" in waited.stdout
    assert "exit 3" in waited.stdout
    assert xrun("log", handle).stdout == "hi\n"
    assert xrun("wait", "--timeout", "5", handle).returncode == 1
    assert xrun("delete", handle).returncode == 0
    assert xrun("status", handle).returncode == 5


def test_wait_gives_up_with_6_and_cancel_gives_7() -> None:
    handle = xrun("--detach", "utils.sh", "--", "sleep 300").stdout.strip()
    late = xrun("wait", "--timeout", "0.2", handle)
    assert late.returncode == 6
    assert "goes on" in late.stderr
    cancelled = xrun("cancel", handle)
    assert cancelled.returncode == 0
    assert cancelled.stdout == f"{handle}\tCANCELLED\n"
    assert xrun("wait", handle).returncode == 7
    assert xrun("cancel", handle).returncode == 0


def test_json_is_all_there_is_on_stdout() -> None:
    done = xrun("run", "--json", "utils.echo", "--msg", "hi")
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    assert answer["state"] == "SUCCEEDED"
    assert answer["roles"][0]["replicas"][0]["exit_code"] == 0
    handle = json.loads(xrun("run", "--json", "--detach", "utils.echo").stdout)["handle"]
    assert json.loads(xrun("wait", "--json", handle).stdout)["handle"] == handle
    listed = json.loads(xrun("list", "--json").stdout)
    assert {app["handle"] for app in listed["apps"]} == {answer["handle"], handle}


def test_a_request_id_submits_once(tmp_path: Path) -> None:
    words = ["--detach", "--request-id", "ci-17", "utils.sh", "--", f"echo x >> {tmp_path}/ran"]
    first, second = xrun(*words), xrun(*words)
    assert first.stdout == second.stdout
    xrun("wait", first.stdout.strip())
    assert (tmp_path / "ran").read_text() == "x\n"
    other = xrun("--detach", "--request-id", "ci-17", "utils.sh", "--", "exit 1")
    assert other.returncode == 3
    assert "roles[0].args" in other.stderr
    assert "ci-17" in other.stderr


def test_options_before_and_after_the_component_stay_apart() -> None:
    done = xrun("utils.sh", "--", "echo", "--detach", "-s", "--", "--help")
    assert done.stdout == "--detach -s -- --help\n"


def test_an_option_of_another_scheduler_is_ignored_with_a_notice() -> None:
    done = xrun("-s", "memory", "-cfg", "gpus=3", "utils.echo")
    assert done.returncode == 0
    assert "gpus is local/docker's; memory ignores it" in done.stderr


def test_render_is_deterministic_has_no_effect_and_works_by_hand(xrun_home: Path) -> None:
    words = [
        "render",
        "utils.sh",
        "--num_replicas",
        "2",
        "--env",
        "A=x y,B=$HOME",
        "--",
        "echo",
        "$A",
        "it's ${replica_id}",
    ]
    first, second = xrun(*words), xrun(*words)
    assert first.stdout == second.stdout
    assert not xrun_home.exists()
    by_hand = subprocess.run(["sh"], input=first.stdout, capture_output=True, text=True, timeout=60, check=False)
    assert by_hand.returncode == 0
    assert sorted(by_hand.stdout.splitlines()) == ["$A it's 0", "$A it's 1"]


def test_the_script_of_a_failing_job_fails_by_hand() -> None:
    text = xrun("render", "utils.sh", "--", "exit 3").stdout
    assert subprocess.run(["sh"], input=text, text=True, timeout=60, check=False).returncode == 1


def test_a_workspace_is_where_local_runs(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    done = xrun("--workspace", str(tmp_path / "here"), "utils.sh", "--", "pwd")
    assert done.stdout == f"{tmp_path}/here\n"
    assert xrun("--workspace", str(tmp_path / "gone"), "utils.echo").returncode == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_interrupt_cancels(number: signal.Signals, code: int) -> None:
    trap = "trap 'echo saving; sleep 0.2; echo saved; exit 1' TERM; echo ready; while :; do sleep 0.05; done"
    with _started("utils.sh", "--", trap) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        launcher.send_signal(number)
        out, err = launcher.communicate(timeout=30)
    assert launcher.returncode == code
    assert out == "saving\nsaved\n", "what it writes while it stops is shown"
    assert "stopping the job" in err
    assert "CANCELLED" in err


def test_the_second_interrupt_leaves_at_once() -> None:
    with _started(
        "-cfg", "grace_period=3", "utils.sh", "--", "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "ready\n"
        launcher.send_signal(signal.SIGINT)
        assert launcher.stderr is not None
        while "stopping" not in launcher.stderr.readline():
            pass
        began = time.monotonic()
        launcher.send_signal(signal.SIGINT)
        launcher.communicate(timeout=30)
        assert time.monotonic() - began < 2
    assert launcher.returncode == 130
    handle = xrun("list").stdout.split("\t")[0]
    assert xrun("wait", handle).returncode == 7


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m xrun utils.sh -- 'yes | head -n 100000' | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "y\n"
    assert "Traceback" not in done.stderr
    assert "nobody reads the output" in done.stderr


class _started:  # noqa: N801 - used as a function
    """A launcher that goes on; killed if a test leaves it."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def __enter__(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "xrun", *self._words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        return self._process

    def __exit__(self, *_: object) -> None:
        with self._process:
            if self._process.poll() is None:
                self._process.kill()


def test_closed_standard_files_are_no_bug() -> None:
    command = f"{sys.executable} -m xrun utils.sh -- 'echo hi' <&- >&- 2>&-"
    assert subprocess.run(command, shell=True, timeout=60, check=False).returncode == 0


def test_an_interrupt_during_the_submission_is_not_lost() -> None:
    for delay in (0.06, 0.09, 0.12):
        with _started("utils.sh", "--", "sleep 300") as launcher:
            time.sleep(delay)
            launcher.send_signal(signal.SIGINT)
            launcher.communicate(timeout=30)
    listed = xrun("list").stdout
    assert "RUNNING" not in listed
    assert "PENDING" not in listed
