from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest

from xrun.apps import copy


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    src = tmp_path / "src"
    (src / "sub" / "deep dir").mkdir(parents=True)
    (src / "empty").mkdir()
    (src / "a b\n'é").write_bytes(b"one")
    (src / "sub" / "deep dir" / "c").write_bytes(b"\0\xff" * 1000)
    return src


def content(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(b"x\0")
    assert copy.main([str(tmp_path / "a"), f"{tmp_path}/new/dir/b"]) == 0
    assert (tmp_path / "new/dir/b").read_bytes() == b"x\0"
    assert capsys.readouterr().out.startswith("copied 1 file from ")


@pytest.mark.parametrize("dst", ["there", "new/"])
def test_file_into_a_folder(tmp_path: Path, dst: str) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "there").mkdir()
    assert copy.main([str(tmp_path / "a"), f"{tmp_path}/{dst}"]) == 0
    assert (tmp_path / dst / "a").read_bytes() == b"x"


def test_tree(tree: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert copy.copy(str(tree), str(tmp_path / "dst")) == 2
    assert content(tmp_path / "dst") == content(tree)


def test_between_file_systems(tree: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    try:
        copy.copy(f"file://{tree}", "memory://bucket/x")
        copy.copy("memory://bucket/x/", f"file://{tmp_path}/back/")
    finally:
        memory.rm("/bucket", recursive=True)
    assert content(tmp_path / "back") == content(tree)


def test_empty_file_and_overwrite(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").write_text("longer")
    copy.copy(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == b""


@pytest.mark.parametrize(("src", "dst"), [("a", "a"), ("a", "."), ("d", "d"), ("d", "d/sub"), ("./a", "d/../a")])
def test_onto_itself_is_refused_before_anything_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], src: str, dst: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("kept")
    (tmp_path / "d").mkdir()
    assert copy.main([src, dst]) == 1
    assert "copy to another place" in capsys.readouterr().err
    assert (tmp_path / "a").read_text() == "kept"
    assert list((tmp_path / "d").iterdir()) == []


@pytest.mark.parametrize(
    ("src", "said"),
    [
        ("nowhere", "can't copy nowhere to x: there is no nowhere"),
        ("nonesuch://a", "Protocol not known: nonesuch"),
        ("a\nb", "there is no a b"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], src: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert copy.main([src, "x"]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["a"], ["a", "b", "c"]])
def test_wrong_call(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert copy.main(words) == 2
    assert f"{len(words)} arguments were given" in capsys.readouterr().err


def test_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    argv = [sys.executable, "-m", "xrun.apps.copy", "a"]
    assert subprocess.run([*argv, "b"], cwd=tmp_path).returncode == 0
    failed = subprocess.run([*argv, "/proc/nonesuch/b"], cwd=tmp_path, capture_output=True, text=True)
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
