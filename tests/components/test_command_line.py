from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.components.command_line import CommandLine, parse, spelling
from xrun.components.finder import Component
from xrun.errors import InvalidValue, UnknownName, UsageError
from xrun.specs import AppDef


def many(
    *words: str,
    j: str = "",
    h: str = "",
    name: str = "",
    max_retries: int = 0,
    memMB: int = 0,
    lr: float = 0,
    debug: bool = False,
    cache: bool | None = None,
    no_color: bool = False,
    mounts: list[str] | None = None,
    sizes: tuple[int, ...] = (),
    pair: tuple[int, int] = (0, 0),
    env: dict[str, str] | None = None,
    config: Annotated[str, "-cn"] = "",
) -> AppDef:
    return AppDef("many")


def options_only(file: str = "", debug: bool = False) -> AppDef:
    return AppDef("options-only")


def read(*words: str) -> dict[str, Any]:
    return parse(Component("many", many), words).values


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["--name", "x"], {"name": "x"}),
        (["--name=x"], {"name": "x"}),
        (["--name="], {"name": ""}),
        (["--name", ""], {"name": ""}),
        (["--name=a=b c"], {"name": "a=b c"}),
        (["--name=--x\ny"], {"name": "--x\ny"}),
        (["--name", "-"], {"name": "-"}),
        (["--name", "-5"], {"name": "-5"}),
        (["--name", "- item"], {"name": "- item"}),
        (["-j", "2x4"], {"j": "2x4"}),
        (["--j", "2x4"], {"j": "2x4"}),
        (["-j=2x4"], {"j": "2x4"}),
        (["-h", "gpu.small"], {"h": "gpu.small"}),
        (["--max-retries", "3"], {"max_retries": 3}),
        (["--max_retries=3"], {"max_retries": 3}),
        (["--max-retries", "-3"], {"max_retries": -3}),
        (["--memMB", "5"], {"memMB": 5}),
        (["--lr", "-0.1"], {"lr": -0.1}),
        (["--lr", "-inf"], {"lr": float("-inf")}),
        (["--lr=-1e-3"], {"lr": -1e-3}),
        (["-cn", "x"], {"config": "x"}),
        (["--config", "x"], {"config": "x"}),
    ],
)
def test_options(words: list[str], values: dict[str, Any]) -> None:
    assert read(*words) == values


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--debug"], {"debug": True}),
        (["--no-debug"], {"debug": False}),
        (["--no_debug"], {"debug": False}),
        (["--debug=yes"], {"debug": True}),
        (["--debug=off"], {"debug": False}),
        (["--debug", "False"], {"debug": False}),
        (["--debug", "1"], {"debug": True}),
        (["--debug", "maybe"], {"debug": True, "words": ["maybe"]}),
        (["--debug", "--", "yes"], {"debug": True, "words": ["yes"]}),
        (["--debug", "--name", "x"], {"debug": True, "name": "x"}),
        (["--cache"], {"cache": True}),
        (["--no-cache"], {"cache": False}),
        (["--no-color"], {"no_color": True}),
        (["--no-no-color"], {"no_color": False}),
    ],
)
def test_flags(words: list[str], values: dict[str, Any]) -> None:
    assert read(*words) == values


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--mounts", "a,b", "--mounts", "c"], {"mounts": ["a", "b", "c"]}),
        (["--sizes", "1", "--sizes=2,3"], {"sizes": (1, 2, 3)}),
        (["--env", "A=1,B=x,y", "--env", "C=a=b", "--env=A=2"], {"env": {"A": "2", "B": "x,y", "C": "a=b"}}),
        (["--mounts="], {"mounts": None}),
    ],
)
def test_collections_add_up(words: list[str], values: dict[str, Any]) -> None:
    assert read(*words) == values


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "a", "--name", "b"],
        ["--debug", "--no-debug"],
        ["-j", "1", "--j", "1"],
        ["--pair", "1,2", "--pair", "3,4"],
        ["--mounts", "None", "--mounts", "a"],
    ],
)
def test_anything_else_only_once(words: list[str]) -> None:
    with pytest.raises(InvalidValue, match="is given twice"):
        read(*words)


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["train", "--name", "x"], ["train", "--name", "x"]),
        (["--", "--help"], ["--help"]),
        (["x", "--help"], ["x", "--help"]),
        (["--", "--", "a"], ["--", "a"]),
        (["a", "--", "b"], ["a", "--", "b"]),
        (["ls", "-l", "-l"], ["ls", "-l", "-l"]),
        (["-"], ["-"]),
        (["-1", "-1"], ["-1", "-1"]),
        ([""], [""]),
        (["--"], []),
    ],
)
def test_the_rest_is_taken_as_it_is(words: list[str], rest: list[str]) -> None:
    assert read(*words) == {"words": rest}
    assert read("--name", "y", *words) == {"name": "y", "words": rest}


@given(st.lists(st.text()))
def test_any_words_come_back(words: list[str]) -> None:
    assert read("--", *words) == {"words": words}
    assert read("x", *words) == {"words": ["x", *words]}


@given(st.text())
def test_any_value_comes_back(text: str) -> None:
    assert read(f"--name={text}") == {"name": text}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name"], "option --name needs a value"),
        (["--name", "--"], "option --name needs a value"),
        (["--name", "--debug"], "option --name needs a value; if '--debug' is meant, write --name=--debug"),
        (["--max-retries", "-x"], "write --max-retries=-x"),
        (["--max-retries", "x"], "option --max-retries: 'x' is not a whole number"),
        (["--debug=maybe"], "option --debug: 'maybe' is not a bool"),
        (["--no-debug=yes"], "option --no-debug takes no value; write --debug=yes"),
        (["--pair", "1"], "option --pair: '1' has 1 parts"),
    ],
)
def test_values_that_are_missing_or_wrong(words: list[str], said: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        read(*words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nmae", "x"], "unknown option '--nmae'; did you mean --name"),
        (["--foo"], "arguments of the program itself go after --"),
        (["-name", "x"], "did you mean --name"),
        (["-j2x4"], "write -j 2x4"),
        (["--no-name"], "unknown option '--no-name'"),
        (["-no-debug"], "unknown option '-no-debug'"),
        (["--words", "x"], "unknown option '--words'"),
        (["--memmb", "1"], "unknown option '--memmb'; did you mean --memMB"),
    ],
)
def test_unknown_options(words: list[str], said: str) -> None:
    with pytest.raises(UnknownName) as caught:
        read(*words)
    assert said in str(caught.value)


def test_a_component_without_words() -> None:
    component = Component("jobs.py:f", options_only)
    assert parse(component, ["--debug", "--"]).values == {"debug": True}
    for words in (["x"], ["--", "--file"], ["--debug", "maybe"]):
        with pytest.raises(UsageError, match=r"jobs.py:f takes only options \(--file, --debug\); '.*' belongs to none"):
            parse(component, words)
    with pytest.raises(UnknownName, match=r"see xrun jobs\.py:f --help"):
        parse(component, ["--foo"])


def test_help() -> None:
    component = Component("many", many)
    assert parse(component, ["--help"]) == CommandLine({}, help=True)
    assert parse(component, ["--name", "x", "--help", "--bogus"]) == CommandLine({"name": "x"}, help=True)
    assert not parse(component, ["x", "--help"]).help
    assert not parse(component, ["--name=--help"]).help


def test_spelling() -> None:
    assert [spelling(n) for n in ("j", "max_retries", "memMB")] == ["-j", "--max-retries", "--memMB"]
