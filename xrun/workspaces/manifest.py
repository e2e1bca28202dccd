"""What a workspace hashes to, and what differs between two of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from xrun.workspaces import layer
from xrun.workspaces.cache import Cache
from xrun.workspaces.tree import FILE, FOLDER, LINK, PROGRAM, Entry

# A file that changes twice within one tick of the file system's clock can look the same after the second change.
_TICK = 2_000_000_000
_VERSION = b"xrun workspace 1\0"

Manifest = Mapping[str, tuple[str, str]]
"""Path -> kind, and the SHA-256 of a file's content or a link's target; in the order of the paths."""


class Delta(NamedTuple):
    """What to do with one workspace to have another.

    Attributes:
        added: paths that are new.
        changed: files and links with other content.
        removed: paths that are gone, or of which a folder became a file or the like: a layer can't say that.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]


def manifest_of(entries: Sequence[Entry], cache: Cache, name: str) -> Manifest:
    """The manifest of what travels; files that are as they were when hashed last are not read.

    Args:
        entries: what travels.
        cache: where hashes are kept.
        name: which workspace this is, for the cache; empty to keep nothing.

    Raises:
        InvalidJob: a file can't be read.
    """
    begin = time.time_ns()
    known = cache.stamps(name) if name else {}
    found: dict[str, tuple[str, str]] = {}
    kept: dict[str, list[object]] = {}
    fresh = False
    for entry in entries:
        if entry.kind in (FOLDER, LINK):
            found[entry.path] = (entry.kind, entry.target)
            continue
        stamp = list(entry.stamp)
        last = known.get(entry.source)
        if last is not None and last[:-1] == stamp:
            value = str(last[-1])
        else:
            value, fresh = layer.digest(entry), True
        found[entry.path] = (entry.kind, value)
        if entry.stamp and entry.stamp[-1] < begin - _TICK:
            kept[entry.source] = [*stamp, value]
    if name and (fresh or len(kept) != len(known)):
        cache.keep_stamps(name, kept)
    return found


def hash_of(manifest: Manifest) -> str:
    """One SHA-256 over paths, kinds and contents."""
    hashed = hashlib.sha256(_VERSION)
    for path, (kind, value) in manifest.items():
        hashed.update(f"{kind}\0{value}\0{path}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()


def difference(old: Manifest, new: Manifest) -> Delta:
    """What leads from one to the other."""
    added: list[str] = []
    changed: list[str] = []
    removed = [path for path in old if path not in new]
    for path, value in new.items():
        was = old.get(path)
        if was is None:
            added.append(path)
        elif was != value:
            same = was[0] == value[0] or {was[0], value[0]} == {FILE, PROGRAM}
            (changed if same else removed).append(path)
    return Delta(added, changed, removed)
