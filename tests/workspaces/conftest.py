"""A store of images that is a dictionary, and what a tree of files looks like."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from xrun.errors import BackendError
from xrun.specs.workspace import Workspace
from xrun.workspaces import BASE, Layer, StoredImage, layer
from xrun.workspaces.cache import Cache
from xrun.workspaces.manifest import manifest_of
from xrun.workspaces.sources import opened
from xrun.workspaces.tree import Entry, select

Files = dict[str, tuple[int, bytes]]
"""Path -> mode, and a file's content or a link's target."""


class FakeStore:
    """Images as dictionaries of files; a layer is unpacked as an engine does it."""

    def __init__(self) -> None:
        self.images: dict[str, Files] = {"base": {}, "other": {}}
        self.labels: dict[str, dict[str, str]] = {}
        self.keys: dict[str, str] = {}
        self.layers: list[tuple[str, Files]] = []
        self.contexts: list[Files] = []
        self.args: list[Mapping[str, str]] = []

    def base(self, image: str) -> str:
        if image not in self.images:
            raise BackendError(f"there is no image {image}")
        return image

    def find(self, key: str) -> str:
        return self.keys.get(key, "")

    def made_on(self, base: str) -> Sequence[StoredImage]:
        found = [StoredImage(id_, labels) for id_, labels in self.labels.items() if labels.get(BASE) == base]
        return found[::-1]

    def add_layer(self, image: str, layer: Layer, labels: Mapping[str, str], key: str) -> str:
        unpacked = unpack(b"".join(layer("")))
        self.layers.append((image, unpacked))
        return self._keep({**self.images[image], **unpacked}, labels, key)

    def build(self, context: Iterator[bytes], args: Mapping[str, str], labels: Mapping[str, str], key: str) -> str:
        self.contexts.append(unpack(b"".join(context)))
        self.args.append(args)
        return self._keep(self.contexts[-1], {}, key)

    def _keep(self, files: Files, labels: Mapping[str, str], key: str) -> str:
        made = f"image-{len(self.images)}"
        self.images[made], self.keys[key] = files, made
        if labels:
            self.labels[made] = dict(labels)
        return made


def unpack(archive: bytes) -> Files:
    """What is in a tar archive."""
    found: Files = {}
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            mode = {tarfile.DIRTYPE: 0o040000, tarfile.SYMTYPE: 0o120000}.get(info.type, 0o100000) | info.mode
            value = content.read() if content else os.fsencode(info.linkname)
            assert info.name not in found
            assert os.path.dirname(info.name) in ("", *found), "a folder comes before what is in it"
            assert (info.uid, info.gid, info.mtime) == (0, 0, 315532800)
            found[info.name] = (mode, value)
    return found


def entries_of(
    *sources: Path | str, said: list[str] | None = None, places: Mapping[str, Path] | None = None
) -> list[Entry]:
    """What travels of some sources."""
    projects = {str(source): "" for source in sources} | {
        str(source): place for place, source in (places or {}).items()
    }
    with opened(Workspace(projects)) as found:
        return select(found, (said if said is not None else []).append)


def archive_of(*sources: Path | str) -> bytes:
    """The workspace as a tar archive."""
    with opened(Workspace({str(source): "" for source in sources})) as found:
        entries = select(found, lambda _: None)
        digests = {path: value for path, (_, value) in manifest_of(entries, Cache(""), "").items()}
        return b"".join(layer.stream(entries, digests))
