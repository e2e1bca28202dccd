"""Tables and what a terminal is given of names that come from anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.cli import output, terminal

HEAD = ["HANDLE", "STATE", "NAME", "WHY"]


def lines(rows: list[list[str]], width: int, spare: tuple[str, ...] = ()) -> list[str]:
    return output.table_lines(HEAD, rows, width, spare)


def test_columns_are_as_wide_as_their_cells() -> None:
    assert lines([["a", "RUNNING", "n", "why"], ["bb", "FAILED", "nn", ""]], 80) == [
        "HANDLE  STATE    NAME  WHY",
        "a       RUNNING  n     why",
        "bb      FAILED   nn",
    ]


def test_wide_characters_are_two_columns() -> None:
    shown = lines([["a", "RUNNING", "数据", "x"], ["b", "RUNNING", "e\u0301", "y"]], 80)
    assert [terminal.width(line[: line.rindex(mark)]) for line, mark in zip(shown[1:], "xy", strict=True)] == [23, 23]


def test_the_widest_gives_way_and_the_first_stays_whole() -> None:
    handle = "local://default/train-x7f2q"
    shown = lines([[handle, "RUNNING", "n" * 30, "w" * 90]], 80)
    assert max(map(len, shown)) == 80
    assert handle in shown[1]
    assert "RUNNING" in shown[1]
    assert shown[1].count("…") == 2 or shown[1].endswith("…")


def test_what_does_not_fit_is_left_out() -> None:
    handle = "h" * 50
    assert lines([[handle, "RUNNING", "name", "because of it"]], 62)[1] == f"{handle}  RUNNING"
    assert lines([[handle, "RUNNING", "name", "because of it"]], 64, ("STATE", "NAME"))[1] == f"{handle}  because of…"
    assert lines([[handle, "RUNNING", "name", "because"]], 20)[1] == handle


def test_no_rows_is_a_head() -> None:
    assert lines([], 80) == ["HANDLE  STATE  NAME  WHY"]


@given(
    st.lists(st.lists(st.text(max_size=40), min_size=4, max_size=4), max_size=6),
    st.integers(min_value=1, max_value=120),
)
def test_any_text_keeps_to_any_width(rows: list[list[str]], width: int) -> None:
    clean = [[terminal.clean(cell) for cell in row] for row in rows]
    shown = lines(clean, width)
    first = max([len("HANDLE"), *(terminal.width(row[0]) for row in clean)])
    assert len(shown) == len(rows) + 1
    assert max(map(terminal.width, shown)) <= max(width, first)
    assert all(line.isprintable() or "\u3000" in line or not line.isascii() for line in shown)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("数据 é 🚀", "数据 é 🚀"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\tb\nc\r", r"a\tb\nc\r"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udc9b\udcff", r"\x9b\xff"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_and_not_sent(text: str, clean: str) -> None:
    assert terminal.clean(text) == clean
    assert terminal.clean(clean) == clean


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
    """What was written to stdout and stderr."""
    data: list[bytes] = []

    def write(fd: int, text: bytes) -> int:
        data.append(bytes(text))
        return len(text)

    monkeypatch.setattr("xrun.cli.output.os.write", write)
    return lambda: b"".join(data)


def test_rows_for_programs_have_no_head_and_one_line_each(
    written: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda fd: False)
    output.table(["A", "B"], [["a\tb", "c\nd"], ["数", "x" * 500]])
    assert written() == b"a\\tb\tc\\nd\n" + "数".encode() + b"\t" + b"x" * 500 + b"\n"


def test_notices_carry_no_escape_sequences(written: Callable[[], bytes]) -> None:
    output.notice("failed: \x1b]0;owned\x07")
    assert written() == b"xrun: failed: \\x1b]0;owned\\x07\n"


def test_states_have_colours_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "has_colour", lambda fd: True)
    shown = lines([["a", "FAILED", "FAILED?", "x"]], 80)
    assert shown[1] == "a       \033[31mFAILED\033[0m  FAILED?  x"
    assert terminal.bare(shown[0]) == "HANDLE  STATE   NAME     WHY"


@pytest.mark.parametrize(
    ("env", "redraws", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
    ],
)
def test_what_a_terminal_can(env: dict[str, str], redraws: bool, colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    own, theirs = os.openpty()
    try:
        assert terminal.can_redraw(theirs) is redraws
        assert terminal.has_colour(theirs) is colour
        assert terminal.size(theirs) == (80, 24)
    finally:
        os.close(own)
        os.close(theirs)
    assert not terminal.has_colour(theirs)


def test_prose_goes_on_in_the_next_line() -> None:
    rows = [["a", "1", "one two three four five"], ["b", "2", "six"]]
    shown = output.table_lines(["NAME", "N", "TEXT"], rows, 24, (), ["TEXT"])
    assert shown[1:] == [
        "a     1  one two three",
        "         four five",
        "b     2  six",
    ]
