"""status: what it says of a job, for programs and for a person."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from xrun.cli import status_text, terminal
from xrun.cli.status_text import View
from xrun.schedulers.descriptions import AppDescription
from xrun.specs import AppDef, AppState, Role
from xrun.specs.status import AppStatus, ReplicaStatus, RoleStatus

from .conftest import xrun
from .terminals import Terminal

XRUN = [sys.executable, "-m", "xrun"]
HANDLE = "local://default/train-x7f2q"
NOW = 1_800_000_000.0


def job(replicas: int = 2, state: AppState = AppState.RUNNING, **more: object) -> AppDescription:
    ks = [
        ReplicaStatus(k, AppState.RUNNING, "train", hostname="box", native_id=str(100 + k), started=NOW - 75)
        for k in range(replicas)
    ]
    app = AppDef("train", [Role("train", num_replicas=replicas, port_map={"http": 8000, "grpc": 9})])
    status = AppStatus(state, roles=[RoleStatus("train", ks)], submitted=NOW - 80, **more)  # type: ignore[arg-type]
    return AppDescription("train-x7f2q", status, app, user="ann", submitted=NOW - 80)


@pytest.fixture(params=[60, 100, 200])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal without colours of that width."""
    monkeypatch.setattr(terminal, "size", lambda fd=1: (request.param, 40))
    return int(request.param)


def test_plain_text_is_stable() -> None:
    there = job(msg="all well", num_restarts=0, native_id="4711", ui_url="https://ui/1")
    there.status.roles[0].replicas[1].endpoints = {"grpc": "outside:49153"}
    lines = status_text.plain(there, View(HANDLE), NOW)
    assert lines[:4] == [f"handle: {HANDLE}", "state: RUNNING (all well)", "name: train", "user: ann"]
    assert re.fullmatch(r"submitted: 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", lines[4])
    assert lines[5].endswith(", 5.0s after its submission")
    assert "running: for 1m15s" in lines
    assert "native id: 4711" in lines
    assert "ui: https://ui/1" in lines
    assert "endpoint: train/1 http=box:8000" in lines
    assert "endpoint: train/1 grpc=outside:49153" in lines
    assert lines[-1] == "train/1\tRUNNING\t0\t-\tbox\t101\t1m15s\t-"


def test_what_ended_has_its_length_and_no_endpoint() -> None:
    there = job(state=AppState.FAILED, ended=NOW - 15, num_restarts=2, msg="train/0 failed")
    k = there.status.roles[0].replicas[0]
    k.state, k.signal, k.error, k.attempt, k.ended = AppState.FAILED, "SIGKILL", "out of\tmemory\x1b[2J", 2, NOW - 15
    lines = status_text.plain(there, View(HANDLE), NOW)
    assert "restarts: 2" in lines
    assert any(line.startswith("ended: ") and line.endswith("after 1m05s") for line in lines)
    assert "train/0\tFAILED\t2\tSIGKILL\tbox\t100\t1m00s\tout of\\tmemory\\x1b[2J" in lines
    assert not [line for line in lines if "endpoint" in line]


def test_of_a_damaged_record_the_rest_is_shown() -> None:
    there = AppDescription("a-b", AppStatus(AppState.UNKNOWN))
    assert status_text.plain(there, View(HANDLE), NOW) == [f"handle: {HANDLE}", "state: UNKNOWN"]
    assert len(status_text.drawn(there, View(HANDLE), NOW)) == 2


def test_lines_keep_to_the_width(columns: int) -> None:
    there = job()
    there.status.roles[0].replicas[1].error = "界" * 300
    lines = status_text.drawn(there, View(HANDLE), NOW)
    assert max(map(terminal.width, lines)) <= columns
    assert any("界…" in line for line in lines)
    assert any("RUNNING" in line and "train/0" in line for line in lines)


def test_of_a_thousand_replicas_those_that_matter(columns: int) -> None:
    there = job(1000)
    ks = there.status.roles[0].replicas
    ks[7].state, ks[500].state, ks[3].state = AppState.FAILED, AppState.PENDING, AppState.CANCELLED
    lines = status_text.drawn(there, View(HANDLE), NOW)
    rows = [line.split()[0] for line in lines if line.startswith("train/")]
    assert rows == ["train/7", "train/3", "train/500"]
    assert any("1 FAILED, 1 CANCELLED, 1 PENDING, 997 RU" in line for line in lines)
    assert lines[-1] == "... and 997 more; --all shows every one"
    assert sum(line.startswith("train/") for line in status_text.drawn(there, View(HANDLE, all=True), NOW)) == 1000
    assert sum(line.startswith("train/") for line in status_text.plain(there, View(HANDLE), NOW)) == 1000
    assert len(status_text.drawn(there, View(HANDLE), NOW, height=14)) <= 14


@pytest.fixture
def handle() -> str:
    """A job of which one replica failed."""
    text = "echo oh no >&2; exit $XRUN_REPLICA_ID"
    handle = xrun("--detach", "utils.sh", "--num_replicas", "2", "--", text).stdout.strip()
    assert xrun("wait", handle).returncode == 1
    return handle


def test_the_verb(handle: str) -> None:
    done = xrun("status", handle, env={"FORCE_COLOR": "1"})
    assert done.returncode == 0
    assert done.stdout.startswith(f"handle: {handle}\nstate: FAILED (sh/1 failed: exit 1")
    assert re.search(r"^sh/1\tFAILED\t0\t1\t\S+\t\d+\t\S+\toh no$", done.stdout, re.MULTILINE)
    assert "\033" not in done.stdout
    assert xrun("status", handle, "--role", "sh").stdout == done.stdout
    refused = xrun("status", handle, "--role", "hs")
    assert refused.returncode == 2
    assert "unknown role 'hs'" in refused.stderr
    assert json.loads(xrun("status", "--json", "--role", "sh", handle).stdout)["roles"][0]["role"] == "sh"
    assert xrun("status", handle + "x").returncode == 5


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals(handle: str, env: dict[str, str], coloured: bool) -> None:
    with Terminal([*XRUN, "status", handle], columns=72, env=env) as shown:
        assert shown.end() == 0
        assert ("\033[31mFAILED" in shown.text) is coloured
        assert ("\033" in shown.text) is coloured
        assert any(line.startswith("REPLICA  STATE") for line in shown.screen)
        assert max(map(len, shown.screen)) <= 72


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file for which jobs of `gated` wait; it is there in the end, whatever happens."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def gated(gate: Path, replicas: int = 2) -> str:
    text = f"while [ ! -e {gate} ]; do sleep 0.05; done; exit $XRUN_REPLICA_ID"
    return xrun("--detach", "utils.sh", "--num_replicas", str(replicas), "--", text).stdout.strip()


def test_watch_prints_a_line_for_each_change(gate: Path) -> None:
    handle = gated(gate)
    process = subprocess.Popen([*XRUN, "status", "-w", handle], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = [next(line for line in process.stdout if f"{handle}\tRUNNING" in line)]
    gate.touch()
    printed += list(process.stdout)
    process.stdout.close()
    assert process.wait(20) == 0
    lines = [line.rstrip("\n").split("\t")[1:] for line in printed]
    assert [handle, "RUNNING"] in lines
    assert ["sh/1", "FAILED", "exit 1"] in lines
    assert lines[-1][:2] == [handle, "FAILED"]
    assert len(lines) == len({tuple(line) for line in lines})


def test_watch_answers_in_json(gate: Path) -> None:
    handle = gated(gate)
    gate.touch()
    states = [json.loads(line)["state"] for line in xrun("status", "--watch", "--json", handle).stdout.splitlines()]
    assert states[-1] == "FAILED"
    assert states == sorted(states, key=["PENDING", "RUNNING", "FAILED"].index)


def test_watch_redraws_in_place_and_ends_with_the_job(gate: Path) -> None:
    handle = gated(gate)
    with Terminal([*XRUN, "status", "--watch", handle], columns=72, lines=24) as shown:
        shown.until(lambda: sum("RUNNING" in line for line in shown.screen) == 3)
        shown.until(lambda: shown.text.count("\033[J") >= 3)  # the clock goes on
        gate.touch()
        assert shown.end() == 0
        assert sum(line.startswith("handle") for line in shown.screen) == 1
        assert any(line.startswith("state") and "FAILED" in line for line in shown.screen)
        assert not any("RUNNING" in line for line in shown.screen)


def test_watch_of_more_than_the_terminal_holds(gate: Path) -> None:
    handle = gated(gate, 18)
    with Terminal([*XRUN, "status", "--watch", handle], columns=50, lines=14) as shown:
        shown.until(lambda: shown.text.count("\033[J") >= 3)
        assert len([line for line in shown.screen if line]) < 14
        assert sum(line.startswith("handle") for line in shown.screen) == 1


def test_ctrl_c_leaves_a_clean_screen(gate: Path) -> None:
    handle = gated(gate)
    with Terminal([*XRUN, "status", "--watch", handle]) as shown:
        shown.until("RUNNING")
        shown.send("\x03")
        assert shown.end() == 130
        assert shown.screen[-1] == ""
        assert "^C" not in "".join(shown.screen)
        assert "Traceback" not in shown.text


def test_watch_ends_with_a_job_that_is_deleted(gate: Path) -> None:
    handle = gated(gate)
    with Terminal([*XRUN, "status", "--watch", handle]) as shown:
        shown.until("RUNNING")
        assert xrun("delete", handle).returncode == 0
        assert shown.end() in (0, 5)  # it may see the end of the job or only its absence
        assert "Traceback" not in shown.text


@pytest.mark.parametrize("verb", ["status", "wait"])
def test_what_a_job_wrote_does_nothing_to_a_terminal(verb: str) -> None:
    script = r"printf '\033]0;title\007\n' >&2; exit 3"
    handle = xrun("--detach", "utils.sh", "--", script).stdout.strip()
    xrun("wait", handle)
    said = xrun(verb, handle).stdout
    assert r"\x1b]0;title\x07" in said
    assert "\x1b" not in said


def test_watching_costs_next_to_nothing(gate: Path) -> None:
    handle = gated(gate)
    process = subprocess.Popen([*XRUN, "status", "--watch", handle], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any(f"{handle}\tRUNNING" in line for line in process.stdout)
    used = _cpu(process.pid)
    time.sleep(1.5)  # what is measured is what it does meanwhile
    assert _cpu(process.pid) - used < 0.05
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    process.stdout.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
