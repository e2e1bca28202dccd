"""Waits that say what they wait for, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from xrun.cli import output, progress, terminal
from xrun.cli.times import span

from .conftest import xrun
from .terminals import Terminal

XRUN = [sys.executable, "-m", "xrun"]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file for which jobs of `gated` wait; it is there in the end, whatever happens."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def words(gate: Path) -> list[str]:
    return ["utils.sh", "--", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo done"]


def gated(gate: Path) -> str:
    return xrun("--detach", *words(gate)).stdout.strip()


def verbs(gate: Path, handle: str) -> dict[str, list[str]]:
    return {"wait": ["wait", handle], "log": ["log", "-f", handle], "run": ["--wait", *words(gate)]}


@pytest.mark.parametrize("verb", ["wait", "log", "run"])
def test_on_a_terminal_one_line_that_changes_and_goes(gate: Path, verb: str) -> None:
    with Terminal([*XRUN, *verbs(gate, gated(gate))[verb]], columns=60) as shown:
        shown.until("waiting for")
        shown.until("waiting for")
        assert max(map(len, shown.screen)) < 60
        gate.touch()
        assert shown.end() == 0
        assert not any("waiting" in line for line in shown.screen)
        assert re.search(r"\r\S* ?xrun: [|/\\-] waiting for .*\x1b\[K", shown.text)


@pytest.mark.parametrize("verb", ["wait", "log", "run"])
def test_elsewhere_a_line_that_stays(gate: Path, verb: str) -> None:
    command = [*XRUN, *verbs(gate, gated(gate))[verb]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, b"")
        said = next(line for line in lines if b"waiting for" in line)
        gate.touch()
        rest = list(lines)
        assert process.wait(30) == 0
    assert re.fullmatch(rb"xrun: waiting for .*(, RUNNING)?, [2-9]\.\ds\n", said)
    assert not any(b"waiting" in line for line in rest)
    assert b"\033" not in said


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_what_stops_a_job_says_so_too(verb: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    text = f"trap 'sleep 3; exit 0' TERM; touch {ready}; while :; do sleep 0.1; done"
    handle = xrun("--detach", "utils.sh", "--", text).stdout.strip()
    end = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    done = xrun(verb, handle)
    assert done.returncode == 0
    assert f"waiting for {handle} to" in done.stderr


def test_an_interrupted_cancel_says_what_goes_on(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    text = f"trap 'sleep 6; exit 0' TERM; touch {ready}; while :; do sleep 0.1; done"
    handle = xrun("--detach", "utils.sh", "--", text).stdout.strip()
    end = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    with subprocess.Popen([*XRUN, "cancel", handle], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "waiting for" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert f"leaving {handle}, which is being stopped" in process.stderr.read()
    assert process.returncode == 130


def test_short_waits_say_nothing() -> None:
    handle = xrun("--detach", "utils.echo").stdout.strip()
    assert xrun("wait", handle).returncode == 0
    assert xrun("wait", handle).stderr == ""
    assert xrun("log", "-f", handle).stderr == ""


def test_lines_come_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(output, "notice", said.append)
    monkeypatch.setattr(terminal, "can_redraw", lambda fd: False)
    clock = _Clock(until=3000)
    monkeypatch.setattr(progress, "time", clock)
    waiting = progress.Waiting("rain", "bring a coat")
    waiting._over = clock  # type: ignore[assignment]
    with waiting:
        waiting._thread.join()
    assert [line.split(", ")[1] for line in said] == ["2.0s", "10s", "1m00s", "11m00s", "21m00s", "31m00s", "41m00s"]
    assert said[0] == "waiting for rain, 2.0s, bring a coat"


class _Clock:
    """An event that nobody sets before ``until``, and the time that passes while it is waited for."""

    def __init__(self, until: float) -> None:
        self.now, self.until = 0.0, until

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float) -> bool:
        self.now += timeout
        return self.now > self.until

    def set(self) -> None:
        self.until = 0.0

    def is_set(self) -> bool:
        return self.until == 0.0


def test_the_line_gives_way_to_output(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("xrun.cli.output.os.write", lambda fd, data: written.write(bytes(data)))
    output.transient("waiting for Godot\x1b[2J")
    output.answer("here")
    output.answer("there")
    output.erase()
    assert written.getvalue() == b"\rxrun: waiting for Godot\\x1b[2J\033[K" + b"\r\033[K" + b"here\nthere\n"


def test_a_wait_of_an_hour_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    with progress.Waiting("x"):
        assert threading.active_count() == before + 1
        used = time.thread_time()
    assert time.thread_time() - used < 0.05
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0s"), (0.44, "0.4s"), (9.99, "10.0s"), (45.9, "45s"), (185, "3m05s"), (7800, "2h10m"), (705_600, "8d4h")],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_stderr_that_nobody_reads_ends_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise click.exceptions.Exit(output.EXIT_SIGPIPE)

    monkeypatch.setattr(output, "notice", broken)
    monkeypatch.setattr(progress, "_FIRST", 0.0)
    with progress.Waiting("rain") as waiting:
        waiting._thread.join(10)
        assert not waiting._thread.is_alive()


@pytest.mark.parametrize("verb", ["wait", "log"])
def test_ctrl_c_takes_the_line_away(gate: Path, verb: str) -> None:
    with Terminal([*XRUN, *verbs(gate, gated(gate))[verb]], columns=60) as shown:
        shown.until("waiting for")
        shown.send("\x03")
        assert shown.end() == 130
        assert not "".join(shown.screen)
