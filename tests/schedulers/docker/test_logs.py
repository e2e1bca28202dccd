"""What many replicas wrote, read and followed on a real engine, over a line that is cut and after retries."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial

import pytest

from tests.schedulers.docker.jobs import ends, reaches, run, sh, until
from tests.systems.engine import CutLine
from xrun.runner import Runner
from xrun.schedulers.docker import logs as docker_logs
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

LINES = 2000
BOTH = "i=0; while [ $i -lt {0} ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"


def by_source(chunks: Iterator[LogChunk]) -> dict[tuple[str, int, Stream], bytes]:
    """All bytes of each stream of each replica, in the order in which they came."""
    found: dict[tuple[str, int, Stream], bytearray] = collections.defaultdict(bytearray)
    for chunk in chunks:
        if chunk is not CAUGHT_UP:
            found[chunk.role, chunk.replica, chunk.stream] += chunk.data
    return {key: bytes(data) for key, data in found.items()}


def numbered(word: str, count: int) -> bytes:
    return "".join(f"{word} {i}\n" for i in range(count)).encode()


@pytest.mark.parametrize("follow", [False, True])
def test_every_line_of_every_replica(runner: Runner, follow: bool) -> None:
    handle = run(runner, sh(BOTH.format(LINES), "a", num_replicas=3), sh(BOTH.format(LINES), "b"))
    if not follow:
        ends(runner, handle, AppState.SUCCEEDED)
    found = by_source(runner.logs(handle, LogQuery(follow=follow)))
    keys = [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert found == {
        (role, k, stream): numbered(word, LINES)
        for role, k in keys
        for stream, word in ((Stream.STDOUT, "out"), (Stream.STDERR, "err"))
    }


@pytest.mark.parametrize("follow", [False, True])
def test_of_the_last_lines_little_more_is_read(runner: Runner, follow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "head -c 50000 /dev/zero | tr '\\0' x; echo"  # more than the engine keeps in one piece
    handle = run(
        runner, sh(f"seq 5000; {long}; sleep 1; echo no >&2; echo err >&2; sleep 1; echo a; echo b", num_replicas=2)
    )
    ends(runner, handle, AppState.SUCCEEDED)
    read = list[object]()
    frames = docker_logs._frames

    def counted(stream: Iterable[bytes]) -> Iterator[object]:
        for message in frames(stream):
            read.append(message)
            yield message

    monkeypatch.setattr(docker_logs, "_frames", counted)
    found = b"".join(c.data for c in runner.logs(handle, LogQuery(tail=3, stream=Stream.STDOUT, follow=follow)))
    assert found == 2 * (b"x" * 50000 + b"\na\nb\n")
    found = b"".join(c.data for c in runner.logs(handle, LogQuery(tail=1, stream=Stream.STDERR, follow=follow)))
    assert found == 2 * b"err\n"
    assert follow or len(read) < 1000  # who follows reads the last seconds once more


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(("stream", "word"), [(Stream.STDOUT, "out"), (Stream.STDERR, "err")])
def test_one_stream_alone(runner: Runner, stream: Stream, word: str, follow: bool) -> None:
    handle = run(runner, sh(BOTH.format(50), num_replicas=2))
    found = by_source(runner.logs(handle, LogQuery(stream=stream, replicas=(1,), role="main", follow=follow)))
    if not follow:
        ends(runner, handle, AppState.SUCCEEDED)
        found = by_source(runner.logs(handle, LogQuery(stream=stream, replicas=(1,), role="main")))
    assert found == {("main", 1, stream): numbered(word, 50)}


def test_since_until_and_tail_of_each_replica(runner: Runner) -> None:
    script = "echo early; sleep 1.2; echo middle; sleep 1.2; echo late"
    handle = run(runner, sh(script, num_replicas=2))
    ends(runner, handle, AppState.SUCCEEDED)
    every = list(runner.logs(handle, LogQuery()))
    times = sorted(chunk.time for chunk in every if chunk.data == b"middle\n")
    assert len(times) == 2

    def texts(query: LogQuery) -> dict[int, bytes]:
        return {k: data for (_, k, _), data in by_source(runner.logs(handle, query)).items()}

    for follow in (False, True):
        since = texts(LogQuery(since=times[0] - 0.3, follow=follow))
        assert since == {0: b"middle\nlate\n", 1: b"middle\nlate\n"}
        assert texts(LogQuery(until=times[1] + 0.3, follow=follow)) == {0: b"early\nmiddle\n", 1: b"early\nmiddle\n"}
        both = LogQuery(since=times[0] - 0.3, until=times[1] + 0.3, follow=follow)
        assert texts(both) == {0: b"middle\n", 1: b"middle\n"}
        assert texts(LogQuery(tail=1, follow=follow)) == {0: b"late\n", 1: b"late\n"}
        assert texts(LogQuery(tail=0, follow=follow)) == {}


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("policy", list(RetryPolicy))
def test_attempts_of_a_replica_come_in_their_order(runner: Runner, policy: RetryPolicy, follow: bool) -> None:
    script = 'i=0; while [ $i -lt 3000 ]; do echo $XRUN_ATTEMPT.$i; i=$((i+1)); done; [ "$XRUN_ATTEMPT" = 3 ] || exit 3'
    role = sh(script, max_retries=3, retry_policy=policy)
    handle = run(runner, role)
    if not follow:
        ends(runner, handle, AppState.SUCCEEDED)
    lines = list(runner.log_lines(handle, "main", 0, should_tail=follow))
    assert lines == [f"{attempt}.{i}\n" for attempt in range(4) for i in range(3000)]


def test_a_follower_whose_line_is_cut_again_and_again_loses_and_doubles_nothing(
    over_the_line: Runner, line: CutLine
) -> None:
    # lines of 40,000 bytes come in pieces that have the same time
    script = (
        "long=$(head -c 20000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 150 ]; do "
        "echo $i.$long$long; echo err $i >&2; sleep 0.02; i=$((i+1)); done; echo end"
    )
    handle = run(over_the_line, sh(script))
    reaches(over_the_line, handle, "err 1")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(over_the_line.log_lines(handle, "main", 0, should_tail=True)))
    reader.start()
    until(partial(_has_come, lines, 0, reader))
    cuts, wanted = 0, 0
    while reader.is_alive():
        cuts, wanted = cuts + line.drop(), len(lines) + 20
        until(partial(_has_come, lines, wanted, reader))
    assert cuts > 3
    ends(over_the_line, handle, AppState.SUCCEEDED)
    long = "x" * 40000
    assert [x for x in lines if not x.startswith("err")] == [*(f"{i}.{long}\n" for i in range(150)), "end\n"]
    assert [x for x in lines if x.startswith("err")] == [f"err {i}\n" for i in range(150)]


def test_a_follow_that_nobody_reads_on_ends_at_once(runner: Runner) -> None:
    handle = run(runner, sh("sleep 3; echo later; exec sleep 1000", num_replicas=2))
    before = set(threading.enumerate())
    chunks = runner.logs(handle, LogQuery(follow=True))
    assert [next(chunks).data for _ in range(3)] == [b"", b"later\n", b"later\n"]
    followers = set(threading.enumerate()) - before
    assert len(followers) >= 3  # a thread for each replica, and one that looks for more of them
    chunks.close()  # type: ignore[attr-defined] # it is a generator
    until(lambda: not followers & set(threading.enumerate()), timeout=5)
    runner.delete(handle)


@pytest.mark.parametrize("answered", [True, False], ids=["the answer is lost", "the request is lost"])
def test_a_follow_whose_line_is_cut_at_its_beginning_goes_on(
    over_the_line: Runner, line: CutLine, answered: bool
) -> None:
    handle = run(over_the_line, sh("seq 100; sleep 1; seq 100"))
    reaches(over_the_line, handle, "100")
    line.cut("/logs?", answered=answered)
    lines = list(over_the_line.log_lines(handle, "main", 0, should_tail=True))
    assert line.cuts == 1
    assert lines == [f"{i + 1}\n" for i in range(100)] * 2


def _has_come(lines: list[str], wanted: int, reader: threading.Thread) -> bool:
    return len(lines) > wanted or not reader.is_alive()


def test_eight_replicas_are_followed_with_prefixes_on_the_command_line(runner: Runner) -> None:
    script = f"sleep 0.3; {BOTH.format(200)}"
    handle = run(runner, sh(script, num_replicas=8))
    words = [sys.executable, "-m", "xrun", "log", "-f", handle]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env=os.environ, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, list[str]] = collections.defaultdict(list)
    for text in done.stdout.splitlines():
        prefix, _, rest = text.partition(" ")
        found[f"{prefix} {rest.partition(' ')[0]}"].append(rest)
    expected = {
        f"main/{k} {word}": numbered(word, 200).decode().splitlines() for k in range(8) for word in ("out", "err")
    }
    assert found == expected


def test_a_follower_that_leaves_early_lets_go(runner: Runner) -> None:
    handle = run(runner, sh("while :; do echo more; done"))
    chunks = runner.logs(handle, LogQuery(follow=True))
    for _ in range(20):
        next(chunks)
    chunks.close()  # type: ignore[attr-defined] # an iterator is a generator here
    began = time.monotonic()
    until(lambda: not [t for t in threading.enumerate() if t.name == "xrun-docker-log" and t.is_alive()])
    assert time.monotonic() - began < 10
    runner.cancel(handle)
