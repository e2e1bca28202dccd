"""outline: what is read of components without running them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xrun.components import finder, outline
from xrun.components.outline import Option

TEXT = '''
import enum, typing
from enum import Enum
from typing import Annotated, Literal, Optional, Union
import xrun.specs as specs
from xrun.specs import AppDef

raise SystemExit("nothing of this is run")

class Colour(Enum):
    """Which."""
    RED = "r"
    _hidden = 3
    BLUE = "b"

class Plain:
    RED = 1

Mode = Literal["fast", "slow"]
Loop = Loop

def one(
    a: str, /, b: bool, mode: Mode, colour: "Colour" = Colour.RED, *rest: str,
    maybe: Optional[Literal[1, 2]] = None, either: bool | None = None, cn: Annotated[int, "-cn"] = 0,
    many: list[str] | None = None, env: "dict[str, str]" = {}, odd: Union[int, str] = 1, no_type=3, loop: Loop = 1,
    plain: Plain = None, broken: "][" = None,
) -> AppDef:
    """First line.

    Args:
        a: what a is:
            more of it.
        *rest: the rest
        mode (str): how
    """

def two() -> "specs.AppDef": ...
def three() -> specs.AppDef: "doc"
def other() -> int: ...
def _hidden() -> AppDef: ...
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.py"
    path.write_text(TEXT)
    return path


def test_functions_that_say_they_are_components(file: Path) -> None:
    assert outline.functions(str(file)) == {"one": "First line.", "two": "", "three": "doc"}


def test_options(file: Path) -> None:
    found = {o.name: o for o in outline.options(f"{file}:one")}
    assert found["a"] == Option("a", "what a is:", "str")
    assert found["b"].flag
    assert found["mode"] == Option("mode", "how", "Literal", values=("fast", "slow"))
    assert found["colour"].values == ("RED", "BLUE")
    assert found["maybe"].values == ("1", "2")
    assert found["either"].flag
    assert found["cn"].kind == "int"
    assert found["many"].repeats
    assert found["env"].repeats
    assert found["rest"].variadic
    assert found["rest"].help == "the rest"
    for name in ("odd", "no_type", "loop", "plain", "broken"):
        assert not found[name].values
    assert list(found)[-1] == "rest"


@pytest.mark.parametrize("text", ["", "def (", "\0", "x" * 10, "é" * 5, "(" * 5000, "def f(:\n"])
def test_what_is_no_python_has_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.py"
    path.write_text(text)
    assert outline.functions(str(path)) == {}
    assert outline.options(f"{path}:f") == []


def test_what_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert outline.functions(str(tmp_path / "none.py")) == {}
    assert outline.functions(str(tmp_path)) == {}
    assert outline.options("nothing.like:it") == []
    assert outline.options("nothing.like") == []
    assert outline.options("utils.nothing") == []
    assert outline.options("") == []
    assert outline.options(":") == []


@pytest.mark.parametrize("name", finder.BUILTINS)
def test_it_reads_of_ours_what_running_them_tells(name: str) -> None:
    told = {p.name: p for p in finder.find(name).parameters}
    read = {o.name: o for o in outline.options(name)}
    assert set(read) == set(told)
    assert {n for n, o in read.items() if o.variadic} == {n for n, p in told.items() if p.variadic}
    assert {n for n, o in read.items() if o.flag} == {n for n, p in told.items() if p.hint in (bool, bool | None)}
    assert all(o.help for o in read.values())


def test_a_package_that_re_exports_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_outline"
    package.mkdir()
    (package / "__init__.py").write_text("from .parts import one as first\nraise RuntimeError('imported')\n")
    (package / "parts.py").write_text(TEXT)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert outline.functions(outline.module_file("shop_outline")) == {"first": "First line."}
    assert [o.name for o in outline.options("shop_outline:first")][:2] == ["a", "b"]
    assert [o.name for o in outline.options("shop_outline.parts:two")] == []
    assert "shop_outline" not in sys.modules


def test_a_module_in_the_working_directory_is_found_as_it_is_when_it_runs(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.rename(file.with_name("jobs_outline.py"))
    monkeypatch.chdir(file.parent)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    assert [o.name for o in outline.options("jobs_outline:one")][:2] == ["a", "b"]
    monkeypatch.chdir("/")
    assert outline.options("jobs_outline:one") == []
