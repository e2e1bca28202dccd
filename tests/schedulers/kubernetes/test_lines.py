"""Lines of a log, and reading on after a cut without a lost or doubled byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.schedulers.kubernetes.lines import Line, Position, parse

LINES = st.lists(
    st.tuples(st.integers(0, 20), st.binary(max_size=12).map(lambda b: b.replace(b"\n", b" "))), min_size=1, max_size=30
)


def log(lines: list[tuple[int, bytes]], ended: bool = True) -> bytes:
    """A log, its lines a little out of order as two streams make them."""
    rows = [b"2026-01-01T00:00:%02d.%09dZ %s" % (s, i, data) for i, (s, data) in enumerate(sorted(lines))]
    return b"\n".join(rows) + (b"\n" if ended else b"")


def since(data: bytes, second: int | None) -> bytes:
    """What a kubelet gives of it from a second on."""
    first = next(parse([b"2026-01-01T00:00:00.000000000Z \n"])).second
    rows = data.splitlines(keepends=True)
    return b"".join(row for row in rows if second is None or first + int(row[17:19]) >= second)


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for i in range(0, len(data), size):
        yield data[i : i + size]


def text(lines: list[Line]) -> bytes:
    return b"".join(line.data for line in lines)


def content(data: bytes) -> bytes:
    return b"".join(row[31:] for row in data.splitlines(keepends=True))


@given(LINES, st.integers(1, 50), st.booleans())
def test_any_pieces_give_the_same_bytes(lines: list[tuple[int, bytes]], size: int, ended: bool) -> None:
    lines = [(s, bytes(c if 31 < c < 127 else 46 for c in data)) for s, data in lines]
    data = log(lines, ended)
    assert text(list(parse(pieces(data, size)))) == content(data)


@settings(max_examples=300)
@given(LINES, st.lists(st.integers(0, 1500), min_size=1, max_size=4))
def test_a_log_is_read_on_after_cuts(lines: list[tuple[int, bytes]], cuts: list[int]) -> None:
    lines = [(s, bytes(c if 31 < c < 127 else 46 for c in data)) for s, data in lines]
    data, position, found = log(lines), Position(), b""
    for cut in [*sorted(cuts), len(data)]:
        start = position.since()
        whole = since(data[: data.rfind(b"\n", 0, cut) + 1], start)
        found += text(list(position.new(parse([whole]))))
    assert found == content(data)


def test_a_line_that_was_cut_is_taken_up_in_its_middle() -> None:
    stamp, position = b"2026-01-01T00:00:00.000000001Z ", Position()
    long = b"x" * 200_000
    position.since()
    first = list(position.new(parse([stamp + long[:150_000]])))
    assert sum(len(line.data) for line in first) == 150_000
    position.since()
    rest = list(position.new(parse(pieces(stamp + long + b"\n" + stamp + b"next\n", 70_000))))
    assert text(first) + text(rest) == long + b"\nnext\n"


def test_what_has_no_time_is_not_the_programs() -> None:
    assert list(parse([b"unable to retrieve container logs for containerd://1"])) == []


def test_times_with_a_zone() -> None:
    line = next(parse([b"2026-01-01T01:00:00.250000000+01:00 a\n"]))
    assert (line.second, line.time, line.data) == (1767225600, 1767225600.25, b"a\n")


def lines_of(*moments: float) -> list[Line]:
    return [Line(int(t), t, b"%r\n" % t, True) for t in moments]


def read_on(position: Position, log: list[Line]) -> list[float]:
    first = position.since()
    return [line.time for line in position.new(line for line in log if first is None or line.second >= first)]


def test_another_file_is_told_from_the_same() -> None:
    position = Position()
    assert position.is_new
    assert read_on(position, lines_of(100.1, 100.2, 101.5)) == [100.1, 100.2, 101.5]
    assert not position.is_new
    assert read_on(position, lines_of(100.1, 100.2, 101.5)) == []
    # of a container that was started anew
    assert read_on(position, lines_of(101.7, 102.0)) == [101.7, 102.0]
    # cut off at the front, since it had grown too large
    assert read_on(position, lines_of(102.0, 102.3)) == [102.3]
    # and cut off where nothing of what was given is left
    assert read_on(position, lines_of(103.0, 103.1)) == [103.0, 103.1]
    # an older one
    assert read_on(position, lines_of(99.0, 99.5)) == []


@pytest.mark.parametrize("cut", range(1, 41))
def test_a_line_that_is_cut_anywhere(cut: int) -> None:
    log = b"2026-01-01T00:00:00.123456789Z line 1\n" + b"2026-01-01T00:00:01.123456789Z line 2\n"
    position = Position()
    position.since()
    given = [line.data for line in position.new(parse([log[: len(log) - cut]]))]
    position.since()
    given += [line.data for line in position.new(parse([log]))]
    assert b"".join(given) == b"line 1\nline 2\n"
