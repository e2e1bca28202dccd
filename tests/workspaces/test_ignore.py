"""Which files stay at home; git itself says what its patterns mean."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrun.errors import InvalidJob
from xrun.specs.workspace import Workspace
from xrun.workspaces.sources import opened
from xrun.workspaces.tree import FOLDER, select

PATHS = [
    *("a", "b.py", "keep.log", "x.log", "caf\u00e0", "sp ace", "new\nline.py", "#hash", "!bang", "[x]", "\udcff.bin"),
    *("d/a", "d/b.py", "d/x.log", "d/keep.log", "d/e/a", "d/e/b.py", "d/e/f/x.log", "build/out", "build/keep/a"),
    *("src/build/a", "src/pkg/__pycache__/m.pyc", "src/pkg/m.py", "data/raw/1", "data/raw/2", "data/README"),
]
PATTERNS = [
    *(
        "a",
        "/a",
        "a/",
        "d",
        "d/",
        "/d/",
        "*.log",
        "!keep.log",
        "build/",
        "/build",
        "**/a",
        "d/**",
        "d/**/a",
        "d/*",
        "*",
    ),
    *("!*/", "!*.py", "*.py", "__pycache__/", "*.pyc", "data/raw/*", "!data/raw/1", "/data/", "!/data/README", "e/f"),
    *("caf\u00e0", "sp ace", "sp\\ ace", "# a comment", "\\#hash", "\\!bang", "\\[x\\]", "[a-c]", "[!a]", "?", "new*"),
    *("", "   ", "*.bin", "src/pkg", "!src", "src/**/m.py", "**/build", "build/keep", "!build/keep", "x.lo?", "d/e/"),
]


def fill(top: Path, paths: list[str]) -> None:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(path.encode("utf-8", "replace").decode())


def travelling(top: Path, source: str = "") -> set[str]:
    """The files, not the folders, that travel."""
    with opened(Workspace({source or str(top): ""})) as sources:
        return {entry.path for entry in select(sources, lambda _: None) if entry.kind != FOLDER}


def git(top: Path, *words: str) -> bytes:
    env = {"PATH": os.environ["PATH"], "HOME": str(top), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *words], cwd=top, env=env, capture_output=True, check=True).stdout


def as_git_says(top: Path) -> set[str]:
    listed = git(top, "ls-files", "-z", "--others", "--exclude-standard")
    return {os.fsdecode(name) for name in listed.split(b"\0") if name}


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from(PATTERNS), max_size=6),
    nested=st.dictionaries(
        st.sampled_from(["d", "d/e", "src", "data"]), st.lists(st.sampled_from(PATTERNS), max_size=3)
    ),
)
def test_gitignore_is_understood_as_git_does(lines: list[str], nested: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        fill(top, PATHS)
        (top / ".gitignore").write_text("\n".join(lines))
        for below, more in nested.items():
            (top / below / ".gitignore").write_text("\n".join(more) + "\n")
        git(top, "init", "--quiet")

        assert travelling(top) == as_git_says(top)


def test_what_a_repository_says_holds_for_its_folders(tmp_path: Path) -> None:
    fill(tmp_path, ["job/train.py", "job/x.ckpt", "job/notes", "job/sub/y.ckpt", "other"])
    (tmp_path / ".gitignore").write_text("*.ckpt\n/job/sub/z\n")
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".git/info/exclude").write_text("notes\n")

    assert travelling(tmp_path / "job") == {"train.py"}


def test_who_names_an_ignored_folder_wants_it(tmp_path: Path) -> None:
    fill(tmp_path, ["build/a", "build/b.log"])
    (tmp_path / ".gitignore").write_text("build/\n*.log\n")
    git(tmp_path, "init", "--quiet")

    assert travelling(tmp_path / "build") == {"a", "b.log"}


def test_one_kind_of_file_decides(tmp_path: Path) -> None:
    fill(tmp_path, ["a", "b", "c", "d/a", "d/b", "d/c"])
    (tmp_path / ".gitignore").write_text("a\n")
    assert travelling(tmp_path) == {"b", "c", "d/b", "d/c", ".gitignore"}

    (tmp_path / ".dockerignore").write_text("b\n")
    assert travelling(tmp_path) - {".gitignore", ".dockerignore"} == {"a", "c", "d/a", "d/b", "d/c"}

    (tmp_path / ".xrunignore").write_text("c\n.*ignore\n")
    (tmp_path / "d/.xrunignore").write_text("!c\n")
    assert travelling(tmp_path) == {"a", "b", "d/a", "d/b", "d/c"}

    (tmp_path / ".xrunignore").write_text("")
    assert {"a", "b", "c", "d/c"} <= travelling(tmp_path)


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        (["b.py"], {"b.py"}),
        (["/b.py"], {"b.py"}),
        (["*.py"], {"b.py"}),
        (["**/*.py"], {"b.py", "d/b.py", "d/e/b.py"}),
        (["d"], {"d/a", "d/b.py", "d/e/a", "d/e/b.py"}),
        (["d/"], {"d/a", "d/b.py", "d/e/a", "d/e/b.py"}),
        (["./d//e/"], {"d/e/a", "d/e/b.py"}),
        (["d/*"], {"d/a", "d/b.py", "d/e/a", "d/e/b.py"}),
        (["*/a"], {"d/a"}),
        (["d", "!d/e"], {"d/a", "d/b.py"}),
        (["d", "!d/e", "d/e/a"], {"d/a", "d/b.py", "d/e/a"}),
        (["*", "!**/b.py"], {"a", "d/a", "d/e/a", ".dockerignore"}),
        (["  d/e  ", "# b.py", "#", "", "."], {"d/e/a", "d/e/b.py"}),
        (["d", "! d"], set()),
        (["\ufeffa"], {"a"}),
        (["../a"], set()),
        (["d/../a", "/../b.py"], {"a", "b.py"}),
        (["d/**", "!d/b.py"], {"d/a", "d/e/a", "d/e/b.py"}),
        (["[a-b]"], {"a"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_dockerignore_has_dockers_rules(tmp_path: Path, lines: list[str], gone: set[str]) -> None:
    paths = ["a", "b.py", "d/a", "d/b.py", "d/e/a", "d/e/b.py"]
    fill(tmp_path, paths)
    (tmp_path / ".dockerignore").write_text("\r\n".join(lines), newline="")

    assert {*paths, ".dockerignore"} - travelling(tmp_path) == gone


def test_git_never_travels_and_the_dockerfile_does(tmp_path: Path) -> None:
    fill(tmp_path, [".git/HEAD", "sub/.git", "sub/a", "Dockerfile.xrun", "sub/Dockerfile.xrun", ".gitkeep"])
    (tmp_path / ".dockerignore").write_text("**/Dockerfile*\n!.git\n")

    assert travelling(tmp_path) == {"sub/a", "Dockerfile.xrun", ".gitkeep", ".dockerignore"}


@pytest.mark.parametrize(("name", "line"), [(".gitignore", "!"), (".xrunignore", "a\\"), (".dockerignore", "a\\")])
def test_a_pattern_that_is_none_is_said(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_text(f"ok\n{line}\n")

    with pytest.raises(InvalidJob, match=rf"\[XR057\] .*{name}:2: the pattern .* can't be understood"):
        travelling(tmp_path)
