"""What travels, and as what."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workspaces.conftest import archive_of, entries_of, unpack
from xrun.errors import InvalidJob

REGULAR, PROGRAM, FOLDER, LINK = 0o100644, 0o100755, 0o040755, 0o120777


def test_modes_links_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bin").mkdir(mode=0o700)
    (tmp_path / "bin/run").write_text("#!/bin/sh\n")
    (tmp_path / "bin/run").chmod(0o700)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "bin/link").symlink_to("run")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "cycle").symlink_to(".")

    assert unpack(archive_of(tmp_path)) == {
        "bin": (FOLDER, b""),
        "bin/link": (LINK, b"run"),
        "bin/run": (PROGRAM, b"#!/bin/sh\n"),
        "cycle": (LINK, b"."),
        "dangling": (LINK, b"nowhere"),
        "empty": (FOLDER, b""),
        "secret": (REGULAR, b"x"),
    }


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=200).filter(lambda n: not {0, 47} & set(n) and n not in (b".", b"..", b".git")),
        st.binary(max_size=2000),
        max_size=8,
    )
)
def test_any_name_and_content_arrives(files: dict[bytes, bytes]) -> None:
    ignore_files = {b".xrunignore", b".dockerignore", b".gitignore"}
    files = {name: content for name, content in files.items() if name not in ignore_files}
    with tempfile.TemporaryDirectory() as folder:
        deep = Path(folder, "x" * 100, "y" * 100)
        deep.mkdir(parents=True)
        for name, content in files.items():
            Path(deep, os.fsdecode(name)).write_bytes(content)

        found = unpack(archive_of(folder))

    here = f"{'x' * 100}/{'y' * 100}/"
    arrived = {os.fsencode(path.removeprefix(here)): value for path, (_, value) in found.items() if here in path}
    assert arrived == files


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name, order in (("one", "abc"), ("two", "cba")):
        for letter in order:
            (tmp_path / name / letter).mkdir(parents=True)
            (tmp_path / name / letter / "file").write_text(letter)
    os.utime(tmp_path / "two/a/file", (1, 1))
    (tmp_path / "two/b").chmod(0o700)
    (tmp_path / "two/b/file").chmod(0o640)

    assert archive_of(tmp_path / "one") == archive_of(tmp_path / "two")


def test_what_is_no_file_stays_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("door")
        (tmp_path / "here").write_text("")
        said: list[str] = []

        assert [entry.path for entry in entries_of(".", said=said)] == ["here"]
    assert said == [f"{tmp_path}/{name} is no file, folder or link; it stays at home" for name in ("door", "pipe")]


def test_a_name_that_removes_files_from_an_image_stays_and_is_said(tmp_path: Path) -> None:
    for name in (".wh.a", ".wh..wh..opq", "a", ".whale"):
        (tmp_path / name).write_text("")
    (tmp_path / ".wh.d").mkdir()
    (tmp_path / ".xrunignore").write_text(".wh.a\n")
    said: list[str] = []

    assert [entry.path for entry in entries_of(tmp_path, said=said)] == [".whale", ".xrunignore", "a"]
    assert said == [
        f"{tmp_path}/{n} has a name that removes files; it stays at home" for n in (".wh..wh..opq", ".wh.d")
    ]


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "d/../../x", ".."])
def test_a_link_that_leads_out_travels_and_is_said(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    said: list[str] = []

    (entry,) = entries_of(tmp_path, said=said)

    assert entry.target == target
    assert said == [f"the link {tmp_path}/link leads out of the workspace; it travels as it is"]


def test_many_notices_are_a_few_lines(tmp_path: Path) -> None:
    for i in range(50):
        (tmp_path / f"bad\n{i}").symlink_to("/")
    said: list[str] = []
    entries_of(tmp_path, said=said)

    assert len(said) == 6
    assert said[-1] == f"45 more like these in {tmp_path}"
    assert not any("\n" in line for line in said)


def test_several_sources_have_their_places(tmp_path: Path) -> None:
    for name in ("app", "lib"):
        (tmp_path / name / "pkg").mkdir(parents=True)
        (tmp_path / name / "pkg" / f"{name}.py").write_text(name)

    paths = [e.path for e in entries_of(tmp_path / "app", places={"pkg/../deep/./lib/": tmp_path / "lib"})]

    assert paths == ["deep", "deep/lib", "deep/lib/pkg", "deep/lib/pkg/lib.py", "pkg", "pkg/app.py"]


@pytest.mark.parametrize("other", ["file", "folder"])
def test_two_files_for_one_place_are_refused(tmp_path: Path, other: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x").write_text("") if other == "file" else (tmp_path / "b/x").mkdir()

    with pytest.raises(InvalidJob, match=r"\[XR058\] x: comes from .*/a/x and from .*/b/x"):
        entries_of(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("what", ["file", "folder", ".gitignore"])
def test_what_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    bad = tmp_path / what
    bad.mkdir() if what == "folder" else bad.write_text("x")
    bad.chmod(0)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        for folder in [tmp_path, *tmp_path.parents[:3]]:
            folder.chmod(0o755)
        os.seteuid(65534)  # root reads everything
    try:
        with pytest.raises(InvalidJob, match=rf"\[XR056\] .*{what}: can't be read: Permission denied"):
            archive_of(tmp_path)
    finally:
        os.seteuid(user)
