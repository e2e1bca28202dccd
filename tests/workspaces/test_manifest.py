"""Hashes, what they are kept by, and differences."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workspaces.conftest import entries_of
from xrun.errors import InvalidJob
from xrun.workspaces import layer
from xrun.workspaces.cache import Cache
from xrun.workspaces.manifest import Manifest, difference, hash_of, manifest_of
from xrun.workspaces.tree import Entry


def hashed(top: Path, cache: Cache | None = None) -> str:
    return hash_of(manifest_of(entries_of(top), cache or Cache(""), "w"))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    (top / "a").write_text("one")
    (top / "d/b").write_text("two")
    (top / "l").symlink_to("a")
    return top


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "a").write_text("oNe"),
        lambda top: (top / "a").chmod(0o755),
        lambda top: (top / "a").rename(top / "c"),
        lambda top: (top / "a").unlink(),
        lambda top: (top / "new").mkdir(),
        lambda top: (top / "d/b").rename(top / "b"),
        lambda top: ((top / "l").unlink(), (top / "l").symlink_to("d")),
        lambda top: ((top / "l").unlink(), (top / "l").write_text("a")),
    ],
)
def test_every_change_changes_the_hash(top: Path, tmp_path: Path, change: Callable[[Path], object]) -> None:
    cache = Cache(str(tmp_path / "cache"))
    before = hashed(top, cache)
    change(top)

    assert hashed(top, cache) == hashed(top) != before


def test_times_and_owners_dont(top: Path) -> None:
    before = hashed(top)
    os.utime(top / "a", (0, 0))
    (top / "a").chmod(0o604)

    assert hashed(top) == before


def age(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes files look old enough to be trusted: a moment's clock is ahead."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)


def test_what_did_not_change_is_not_read(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = layer.digest

    def counted(entry: Entry) -> str:
        read.append(entry.path)
        return digest(entry)

    monkeypatch.setattr(layer, "digest", counted)
    cache = Cache(str(tmp_path / "cache"))
    hashed(top, cache)
    hashed(top, cache)
    assert read == ["a", "d/b"] * 2  # changed a moment ago: a second change could look the same

    age(top, monkeypatch)
    hashed(top, cache)
    read.clear()
    hashed(top, cache)
    assert read == []

    was = os.stat(top / "a")
    (top / "a").write_text("uno")
    os.utime(top / "a", ns=(was.st_atime_ns, was.st_mtime_ns))  # same size, same time
    assert hashed(top, cache) == hashed(top)


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"a":1}', '{"a":[]}', '{"a":["x"]}', "[" * 100_000, "\0", "{}"]
)
def test_a_damaged_cache_is_none(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    age(top, monkeypatch)
    cache = Cache(str(tmp_path / "cache"))
    manifest = manifest_of(entries_of(top), cache, "w")
    content = hash_of(manifest)
    cache.keep_manifest(content, manifest)
    assert cache.manifest(content) == manifest

    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text(damage)

    assert hashed(top, cache) == content
    assert cache.manifest(content) in (None, {})
    assert cache.manifest("0" * 64) is None


def test_a_cache_that_cannot_be_written_costs_nothing_else(top: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert hashed(top, Cache(str(tmp_path / "file"))) == hashed(top)


def test_the_cache_does_not_grow(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    for i in range(40):
        cache.keep_manifest(f"{i:064}", {"a": ("file", str(i))})

    assert len(list((tmp_path / "manifests").iterdir())) == 32
    assert cache.manifest(f"{39:064}") == {"a": ("file", "39")}


kinds = st.sampled_from([("folder", ""), ("file", "1"), ("file", "2"), ("program", "1"), ("link", "x"), ("link", "y")])
manifests = st.dictionaries(st.sampled_from("abcdef"), kinds)


@given(manifests, manifests)
def test_a_difference_leads_from_one_to_the_other(old: Manifest, new: Manifest) -> None:
    added, changed, removed = difference(old, new)
    result = {path: value for path, value in old.items() if path not in removed}
    result |= {path: new[path] for path in (*added, *changed)}

    assert {path: value for path, value in new.items() if path not in removed} == result
    assert not set(added) & set(old)
    for path in changed:
        group = {"file": "file", "program": "file"}
        assert group.get(old[path][0], old[path][0]) == group.get(new[path][0], new[path][0])
    assert (hash_of(dict(sorted(old.items()))) == hash_of(dict(sorted(new.items())))) == (old == new)


@pytest.mark.parametrize("now", ["four", "on", "two"], ids=["longer", "shorter", "other"])
def test_a_file_that_changes_on_its_way_is_refused(top: Path, now: str) -> None:
    entries = entries_of(top)
    digests = {path: value for path, (_, value) in manifest_of(entries, Cache(""), "").items()}
    (top / "a").write_text(now)

    with pytest.raises(InvalidJob, match=r"\[XR056\] .*/a: changed while it was read"):
        b"".join(layer.stream(entries, digests))


def test_a_file_that_goes_or_becomes_a_pipe_is_refused(top: Path) -> None:
    entries = entries_of(top)
    (top / "a").unlink()
    with pytest.raises(InvalidJob, match=r"\[XR056\] .*/a: changed while it was read"):
        manifest_of(entries, Cache(""), "")

    os.mkfifo(top / "a")
    with pytest.raises(InvalidJob, match=r"\[XR056\] .*/a: changed while it was read"):
        manifest_of(entries, Cache(""), "")


def test_a_large_file_passes_in_pieces(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(50_000_000)
    entries = entries_of(tmp_path)
    digests = {path: value for path, (_, value) in manifest_of(entries, Cache(""), "").items()}

    sizes = [len(piece) for piece in layer.stream(entries, digests)]

    assert sum(sizes) > 50_000_000
    assert max(sizes) <= 2 * layer.CHUNK
