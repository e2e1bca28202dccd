"""The explanations are those of the codes in the source, and their examples do what they say."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xrun import errors
from xrun.cli.explanations import GROUPS, Explanation, load
from xrun.errors import InvalidJob, XrunError
from xrun.runner import get_runner
from xrun.schedulers.capabilities import Capabilities, check_capabilities
from xrun.specs.problems import Problem, Severity
from xrun.specs.validation import validate

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"XR\d{3}")
KNOWN = load()
RUNNABLE = [entry for entry in KNOWN.values() if entry.kind != "message"]


def _constants(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def _trees() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "xrun").rglob("*.py"))]


def _raised() -> dict[str, set[int]]:
    """code -> exit codes of the classes that it is given to where one is raised."""
    found: dict[str, set[int]] = {}
    for tree in _trees():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            kind = getattr(errors, getattr(call.func, "id", ""), None)
            if isinstance(kind, type) and issubclass(kind, XrunError) and not issubclass(kind, InvalidJob):
                for code in _constants(call):
                    found.setdefault(code, set()).add(kind.exit_code)
    return found


def _classes(root: type[XrunError] = XrunError) -> Iterator[type[XrunError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _classes(kind)


def test_each_code_in_the_source_is_explained_and_no_other() -> None:
    assert sorted({code for tree in _trees() for code in _constants(tree)}) == list(KNOWN)


def test_the_exit_code_is_that_of_the_class() -> None:
    expected = _raised() | {kind.code: {kind.exit_code} for kind in _classes() if kind.code}
    assert {code: exits for code, exits in expected.items() if exits != {KNOWN[code].exit}} == {}
    assert len(expected) > 30


def test_every_class_has_a_code_or_carries_problems_that_do() -> None:
    assert [kind.__name__ for kind in _classes() if not kind.code] == ["InvalidJob", "Unsupported"]


@pytest.mark.parametrize("entry", KNOWN.values(), ids=list(KNOWN))
def test_each_entry_is_whole(entry: Explanation) -> None:
    assert all((entry.title, entry.cause, entry.example, entry.fix))
    assert entry.title[-1] not in ".:" and len(entry.title) <= 64
    assert entry.cause[-1] == entry.fix[-1] == "."
    assert entry.kind in ("python", "shell", "message")
    assert bool(entry.reason) == (entry.kind == "message")
    assert bool(entry.says and entry.mended) == (entry.kind != "message")
    assert entry.mended != entry.example
    assert entry.code in entry.example if entry.kind == "message" else entry.code not in entry.example
    assert sum(first <= int(entry.code[2:]) <= last for first, last, _ in GROUPS) == 1


def test_messages_that_are_only_shown_are_few() -> None:
    shown = [entry.code for entry in KNOWN.values() if entry.kind == "message"]
    real = re.compile(r"needs a (docker engine|Slurm cluster|cluster); tests/")
    elsewhere = [code for code in shown if real.match(KNOWN[code].reason)]
    assert len(shown) - len(elsewhere) <= 12


@pytest.fixture
def place(tmp_path: Path, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with `xrun` on PATH and nothing configured."""
    programs, folder = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    folder.mkdir()
    (programs / "xrun").write_text(f'#!/bin/sh\nexec {sys.executable} -m xrun "$@"\n')
    (programs / "xrun").chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


@pytest.mark.parametrize("entry", RUNNABLE, ids=[entry.code for entry in RUNNABLE])
def test_the_example_gets_its_code_and_the_mended_one_none(
    entry: Explanation, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _python if entry.kind == "python" else _shell
    assert run(entry.example, entry) == ({entry.code}, entry.exit, True)
    again = place.with_name("again")  # without the files of the first
    again.mkdir()
    monkeypatch.chdir(again)
    assert run(entry.mended, entry)[:2] == (set(), 0)


def _shell(text: str, entry: Explanation) -> tuple[set[str], int, bool]:
    """(codes, exit code, whether the message is as it says) of some commands; only the last one may fail."""
    done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True, timeout=60, check=False)
    found = re.findall(r"\[(XR\d{3})\]", done.stderr) + re.findall(r"\t(XR\d{3})\t", done.stdout)  # xrun check's rows
    return set(found), done.returncode, entry.says in done.stderr + done.stdout


def _python(text: str, entry: Explanation) -> tuple[set[str], int, bool]:
    names: dict[str, Any] = {}
    try:
        exec(compile(text, entry.code, "exec"), names)
    except XrunError as error:
        assert not isinstance(error, InvalidJob)
        return {error.code}, error.exit_code, entry.says in str(error)
    found = _problems(names["app"], entry) if "app" in names else []
    refused = any(p.severity is Severity.ERROR for p in found)
    said = "; ".join(map(str, found))
    return {p.code for p in found}, InvalidJob.exit_code if refused else 0, entry.says in said


def _problems(app: Any, entry: Explanation) -> list[Problem]:
    if int(entry.code[2:]) <= GROUPS[0][1]:
        return validate(app)
    with get_runner() as runner:
        found = runner.check(app, "local")
    if not entry.lacks:
        return found
    everything = Capabilities()
    nothing = type(getattr(everything, entry.lacks))()
    return [*found, *check_capabilities(app, everything._replace(**{entry.lacks: nothing}), "plain")]
