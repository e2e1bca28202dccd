"""A workspace in one piece."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from xrun.specs.workspace import Workspace
from xrun.workspaces import archive, read_text


def test_an_archive_holds_what_travels_and_is_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "train.py").write_text("print(1)\n")
    (tmp_path / "data.bin").write_bytes(b"x" * 100)
    (tmp_path / ".xrunignore").write_text("*.bin\n")
    first, second = (archive(Workspace({str(tmp_path): ""}), 10_000) for _ in range(2))
    assert first == second
    assert first.size == len(first.data)
    with tarfile.open(fileobj=io.BytesIO(first.data), mode="r:gz") as tar:
        assert sorted(tar.getnames()) == [".xrunignore", "pkg", "pkg/train.py"]
        member = tar.extractfile("pkg/train.py")
        assert member is not None
        assert member.read() == b"print(1)\n"


def test_nothing_and_too_much(tmp_path: Path) -> None:
    said: list[str] = []
    assert archive(Workspace({str(tmp_path): ""}), 10_000, notice=said.append).data
    assert said == ["nothing of the workspace travels: it is empty, or all of it is ignored"]
    (tmp_path / "data").write_bytes(bytes(range(256)) * 40)
    assert archive(Workspace({str(tmp_path): ""}), 100).data == b""
    assert archive(Workspace({str(tmp_path): ""}), 100).size > 100


def test_a_dockerfile_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.xrun").write_text("FROM x\n")
    said: list[str] = []
    assert archive(Workspace({str(tmp_path): ""}), 10_000, notice=said.append).data
    assert any("nothing is built" in line for line in said)


def test_a_text_is_read_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("é: 1\n")
    assert read_text(str(tmp_path / "a.yaml")) == "é: 1\n"
    assert read_text(f"local://{tmp_path}/a.yaml") == "é: 1\n"
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_text(str(tmp_path / "a.yaml"), 2)
    with pytest.raises(OSError, match="nowhere"):
        read_text("nowhere://a")
    (tmp_path / "b").write_bytes(b"\xff")
    with pytest.raises(OSError, match="utf-8"):
        read_text(str(tmp_path / "b"))
