"""Where files come from."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest

from tests.workspaces.conftest import archive_of, entries_of, unpack
from xrun.errors import InvalidJob
from xrun.specs.workspace import Workspace
from xrun.workspaces.sources import local_folder, opened


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_a_url_is_fetched_and_removed(memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe("/job/train.py", b"print()")
    memory.pipe("/job/lib/a b.py", b"")
    memory.pipe("/job/data.bin", b"x")
    memory.pipe("/job/.gitignore", b"*.bin\n")
    memory.makedirs("/job/empty")

    with opened(Workspace({"memory://job": "code"})) as (source,):
        folder = Path(source.folder)
        assert (folder / "lib/a b.py").exists()
        assert source.place == "code"

    assert not folder.exists()
    found = unpack(archive_of("memory://job"))
    assert set(found) == {".gitignore", "empty", "lib", "lib/a b.py", "train.py"}
    assert found["train.py"] == (0o100644, b"print()")


def test_a_chain_of_file_systems_keeps_what_can_be_executed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("top/run.sh", "#!/bin/sh\n")

    assert [e.path for e in entries_of(f"zip://top::file://{tmp_path}/code.zip")] == ["run.sh"]

    (tmp_path / "run.sh").write_text("")
    (tmp_path / "run.sh").chmod(0o755)
    subprocess.run(["tar", "-cf", "code.tar", "run.sh"], cwd=tmp_path, check=True)
    assert [e.kind for e in entries_of(f"tar://::file://{tmp_path}/code.tar")] == ["program"]


def test_file_urls_are_folders(tmp_path: Path) -> None:
    assert local_folder(f"file://{tmp_path}") == str(tmp_path)
    assert local_folder("a/b") == "a/b"
    assert local_folder("memory://a") == ""


def test_the_top_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")

    assert local_folder("git://") == str(tmp_path)
    assert [e.path for e in entries_of("git://")] == ["a", "a/b"]

    shutil.rmtree(tmp_path / "a")
    with pytest.raises(InvalidJob, match=r"\[XR055\] git://: no git repository is around the current folder"):
        local_folder("git://")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", r"\[XR055\] nowhere: there is no such folder \(name a folder, git:// or an fsspec URL\)"),
        ("no\nwhere", r"\[XR055\] no\\nwhere: there is no such folder"),
        ("file.txt", r"\[XR055\] file.txt: is a file, not a folder"),
        ("memory://nowhere", r"\[XR055\] memory://nowhere: there is no such folder"),
        ("memory://one/file", r"\[XR055\] memory://one/file: is a file, not a folder"),
        ("nosuch://x", r"\[XR059\] nosuch://x: can't be fetched: Protocol not known: nosuch"),
        ("zip://x::file://nowhere.zip", r"\[XR059\] zip://.*: can't be fetched: .*nowhere.zip"),
    ],
)
def test_a_source_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: fsspec.AbstractFileSystem, source: str, message: str
) -> None:
    (tmp_path / "file.txt").write_text("")
    memory.pipe("/one/file", b"")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidJob, match=message) as caught:
        entries_of(source)
    assert "\n" not in str(caught.value)
