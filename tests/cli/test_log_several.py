"""log of several jobs: whose line is whose, in which order, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from xrun.cli.arrivals import arrivals
from xrun.cli.log import _merged, _short_names
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, Stream

from .conftest import xrun


def start(*words: str) -> str:
    return xrun("--detach", *words).stdout.strip()


def app(handle: str) -> str:
    return handle.rpartition("/")[2]


def test_ended_jobs_come_in_order_of_time() -> None:
    handles = []
    for text in ("echo one; printf last", "echo two; echo three >&2"):
        handles.append(start("utils.sh", "--", text))
        assert xrun("wait", handles[-1]).returncode == 0
    first, second = map(app, handles)
    expected = f"{first}/sh/0 one\n{first}/sh/0 last\n{second}/sh/0 two\n{second}/sh/0 three\n"
    done = xrun("log", *reversed(handles))
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines())
    assert done.stdout.index("one") < done.stdout.index("two")
    assert xrun("log", "--streams", "stderr", *handles).stdout == f"{second}/sh/0 three\n"
    assert sorted(xrun("log", "-f", *handles).stdout.splitlines()) == sorted(expected.splitlines())
    assert sorted(xrun("log", "-f", "--tail", "1", *handles).stdout.splitlines()) == [
        *sorted([f"{first}/sh/0 last", f"{second}/sh/0 three"])
    ]


def test_parts_of_jobs() -> None:
    handle = start("utils.echo", "--num_replicas", "3", "--msg", "hi")
    assert xrun("wait", handle).returncode == 0
    done = xrun("log", f"{handle}/echo/0", f"{handle}/echo/2", f"{handle}/echo/0")
    assert sorted(done.stdout.splitlines()) == [f"{app(handle)}/echo/0 hi", f"{app(handle)}/echo/2 hi"]


def test_one_that_is_not_there_is_said_before_any_line() -> None:
    handle = start("utils.echo", "--msg", "hi")
    assert xrun("wait", handle).returncode == 0
    done = xrun("log", handle, "local://default/none-aaaaa")
    assert (done.returncode, done.stdout) == (5, "")
    assert "none-aaaaa" in done.stderr
    assert xrun("log", handle, f"{handle}/nope").returncode == 2
    assert xrun("log").returncode == 2


def test_running_jobs_are_followed_at_once(tmp_path: Path) -> None:
    gates = [tmp_path / name for name in ("a", "b")]
    handles = [
        start("utils.sh", "--", f"echo begin; while [ ! -e {gate} ]; do sleep 0.02; done; echo end; exit 3")
        for gate in gates
    ]
    first, second = map(app, handles)
    command = [sys.executable, "-m", "xrun", "log", "-f", *handles]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert sorted(islice(lines, 2)) == sorted([f"{first}/sh/0 begin\n", f"{second}/sh/0 begin\n"])
            gates[1].touch()
            assert next(lines) == f"{second}/sh/0 end\n"
            gates[0].touch()
            assert list(lines) == [f"{first}/sh/0 end\n"]
            assert process.wait(30) == 0
    finally:
        for gate in gates:
            gate.touch()


def chunk(when: float, text: str = "") -> LogChunk:
    return LogChunk("r", 0, Stream.STDOUT, when, text.encode())


def test_what_was_there_is_sorted_and_what_comes_is_not() -> None:
    def source(*times: float) -> Iterator[LogChunk]:
        for when in times[:2]:
            yield chunk(when)
        yield CAUGHT_UP
        for when in times[2:]:
            yield chunk(when)

    merged = [c.time for c in _merged([source(1, 4, 9), source(2, 3, 8)], follow=True, parted=True)]
    assert merged[:4] == [1, 2, 3, 4]
    assert sorted(merged[4:]) == [8, 9]


def test_the_first_error_comes_after_the_others_have_ended() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    seen: list[int | None] = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(arrivals([failing(), iter(range(100, 200))]))
    assert sorted(filter(None, seen)) == [1, *range(100, 200)]


def test_a_source_does_not_run_ahead_of_its_reader() -> None:
    given = []

    def source() -> Iterator[int]:
        for n in range(1000):
            given.append(n)
            yield n

    taken = list(islice(arrivals([source()]), 3))
    assert taken == [0, 1, 2]
    assert len(given) < 20


def test_names_are_as_short_as_they_can_be() -> None:
    alone, one, other = "local://default/a-1", "local://x/b-2", "local://y/b-2"
    assert _short_names([alone, one, other]) == {alone: "a-1", one: "x/b-2", other: "y/b-2"}
    same, elsewhere = "local://x/b-2", "slurm://x/b-2"
    assert _short_names([same, elsewhere]) == {same: same, elsewhere: elsewhere}
