"""log: which lines, in which dress."""

from __future__ import annotations

import re
import time

import pytest

from .conftest import xrun

TEXT = "echo out1; sleep 0.1; echo err1 >&2; sleep 0.1; echo out2; sleep 0.1; printf last >&2"


@pytest.fixture
def handle() -> str:
    """A job that wrote four lines, the last one without its end."""
    handle = xrun("--detach", "utils.sh", "--", TEXT).stdout.strip()
    assert xrun("wait", handle).returncode == 0
    return handle


def test_streams(handle: str) -> None:
    assert xrun("log", handle).stdout == "out1\nerr1\nout2\nlast"
    assert xrun("log", handle, "--streams", "stdout").stdout == "out1\nout2\n"
    assert xrun("log", handle, "--streams", "stderr").stdout == "err1\nlast"
    assert xrun("log", "-f", handle).stdout == "out1\nerr1\nout2\nlast"


def test_parts(handle: str) -> None:
    assert xrun("log", handle, "--tail", "2").stdout == "out2\nlast"
    assert xrun("log", handle, "--tail", "0").stdout == ""
    assert xrun("log", handle, "--regex", "^out").stdout == "out1\nout2\n"
    assert xrun("log", handle, "--since", "10m").stdout.startswith("out1")
    assert xrun("log", handle, "--until", "10m").stdout == ""
    assert xrun("log", f"{handle}/sh/0").stdout.startswith("out1")


def test_timestamps_are_those_of_arrival(handle: str) -> None:
    lines = xrun("log", handle, "--timestamps").stdout.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["out1", "err1", "out2", "last"]
    times = [line.split(" ")[0] for line in lines]
    assert times == sorted(set(times))
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", t) for t in times)
    middle = xrun("log", handle, "--since", times[1], "--until", times[2]).stdout
    assert "err1" in middle
    assert "out1" not in middle
    assert "last" not in middle


def test_what_is_not_there(handle: str) -> None:
    role = xrun("log", f"{handle}/shh")
    assert role.returncode == 2
    assert "did you mean sh?" in role.stderr
    replica = xrun("log", f"{handle}/sh/7")
    assert replica.returncode == 2
    assert "replicas 0 to 0" in replica.stderr


def test_some_replicas_of_many() -> None:
    handle = xrun("--detach", "utils.echo", "--num_replicas", "4", "--msg", "hi").stdout.strip()
    xrun("wait", handle)
    assert sorted(xrun("log", f"{handle}/echo/1,3").stdout.splitlines()) == ["echo/1 hi", "echo/3 hi"]
    assert xrun("log", f"{handle}/echo/2").stdout == "hi\n"


def test_follow_shows_lines_as_they_come_and_ends_with_the_job() -> None:
    handle = xrun("--detach", "utils.sh", "--", "echo one; sleep 0.6; echo two").stdout.strip()
    began = time.monotonic()
    assert xrun("log", "--follow", handle).stdout == "one\ntwo\n"
    assert time.monotonic() - began < 10
