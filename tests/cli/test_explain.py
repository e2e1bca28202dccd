"""`xrun explain`: one code, several, all of them; for a person, a program and a page."""

from __future__ import annotations

import json
import os
import re

import jsonschema
import pytest

from tests.helpers import script
from xrun.cli.answers import ExplainAnswer
from xrun.cli.explanations import load
from xrun.specs.schema import schema_of

from .conftest import xrun
from .terminals import on_terminal

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_cause_example_and_fix_are_printed() -> None:
    done = xrun("explain", "XR012")
    entry = load()["XR012"]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("XR012: An environment variable has a reserved name (exit code 3)\n\n")
    for text in (entry.example, entry.mended):
        assert "\n".join(f"    {line}" if line else "" for line in text.splitlines()) in done.stdout
    flowing = " ".join(done.stdout.split())
    for text in (entry.cause, entry.fix):
        assert " ".join(text.replace("`", "").split()) in flowing
    assert "`" not in done.stdout


@pytest.mark.parametrize("word", ["xr012", "Xr012", "12", "012", "XR12", "[XR012]", " xr-12 "])
def test_a_code_is_understood_as_people_type_it(word: str) -> None:
    assert xrun("explain", word).stdout.startswith("XR012: ")


def test_several_codes_come_in_the_order_asked_for_each_once() -> None:
    done = xrun("explain", "44", "XR012", "xr044")
    assert re.findall(r"^XR\d{3}", done.stdout, re.MULTILINE) == ["XR044", "XR012"]


def test_without_a_code_all_are_listed() -> None:
    rows = [line.split("\t") for line in xrun("explain").stdout.splitlines()]
    assert [row[0] for row in rows] == list(load())
    assert rows[0] == ["XR001", "3", "The job has no name"]


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["XR999"], ["'XR999'", "did you mean", "XR0"]),
        (["XR0888"], ["'XR0888'"]),
        (["grace"], ["'grace'", "xrun explain lists them all"]),
        ([""], ["''"]),
        (["XR012", "nonsense"], ["'nonsense'"]),
        (["é\n"], ["XR070"]),
    ],
)
def test_an_unknown_code_is_one_line(words: list[str], texts: list[str]) -> None:
    done = xrun("explain", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    for text in texts:
        assert text in done.stderr


@pytest.mark.parametrize("words", [["XR012"], ["12", "xr100"], []], ids=repr)
def test_json_is_as_documented(words: list[str]) -> None:
    done = xrun("explain", "--json", *words)
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema_of(ExplainAnswer))
    assert len(found["codes"]) == (len(words) or len(load()))
    assert found["codes"][0]["code"] == ("XR012" if words else "XR001")


def test_lines_fit_the_width_but_for_what_is_copied() -> None:
    _, seen = on_terminal("explain", "XR036", "XR012", columns=40, env={"NO_COLOR": "1"})
    assert max(len(line) for line in seen.splitlines() if not line.startswith("    ")) <= 40


def test_colour_is_for_a_terminal_that_wants_it() -> None:
    _, coloured = on_terminal("explain", "XR012")
    _, plain = on_terminal("explain", "XR012", env={"NO_COLOR": "1"})
    assert "\x1b[36m" in coloured
    assert "\x1b" not in plain
    assert ESCAPE.sub("", coloured) == ESCAPE.sub("", plain) == xrun("explain", "XR012").stdout


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["status", "nonsense"], 2, "xrun: xrun explain XR072 says more\n"),
        (["render", "utils.echo", "--num-replicas", "0"], 3, "xrun: xrun explain XR007 says more\n"),
        (["status", "--nonsense"], 2, ""),
    ],
)
def test_on_a_terminal_an_error_says_where_there_is_more(words: list[str], code: int, hint: str) -> None:
    exit_code, seen = on_terminal(*words)
    assert exit_code == code
    assert len(seen.splitlines()) == (2 if hint else 1)
    assert seen.endswith(hint)


def test_the_page_of_errors_is_up_to_date() -> None:
    errors_page = script("errors_page")
    text = errors_page.page(list(load().values()))
    if os.environ.get("XRUN_UPDATE_GOLDEN") == "1":
        errors_page.PAGE.write_text(text, encoding="utf-8")
    assert errors_page.PAGE.read_text(encoding="utf-8") == text
    assert xrun("utils.ehco").stderr in text
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == list(load())
    assert set(re.findall(r"\(#(\w+)\)", text)) == {code.lower() for code in load()}
