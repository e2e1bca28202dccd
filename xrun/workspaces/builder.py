"""An image with a workspace in it, in any store of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from xrun.specs.workspace import Workspace
from xrun.workspaces import layer
from xrun.workspaces.cache import Cache
from xrun.workspaces.manifest import Manifest, difference, hash_of, manifest_of
from xrun.workspaces.problems import SOURCE, refused
from xrun.workspaces.sources import opened
from xrun.workspaces.tree import DOCKERFILE, Entry, Notice, select

HASH, BASE, LAYERS = "xrun.dev/workspace-hash", "xrun.dev/base", "xrun.dev/workspace-layers"
"""Labels of an image: what is in it, the id of the image below, and how many layers of ours it has."""

MAX_LAYERS = 16
"""Layers of changes on top of each other; an image may have 125 or so in all, and each costs at every start."""

_LOOKED_AT = 8  # the latest images that a layer of changes may go on
_CHANGES = 0.5  # of all bytes; with more a new start costs little more, and leaves fewer layers


Layer = Callable[[str], Iterator[bytes]]
"""Folder -> a tar archive whose paths begin with it, in pieces."""


class StoredImage(NamedTuple):
    """An image of a store.

    Attributes:
        id: its id.
        labels: its labels.
    """

    id: str
    labels: Mapping[str, str]


class ImageStore(Protocol):
    """What an engine must be able to do. Its errors are BackendError and BackendUnavailable."""

    def base(self, image: str) -> str:
        """The id of an image, fetched if need be."""
        ...

    def find(self, key: str) -> str:
        """The id of the image made under a key; empty if there is none."""
        ...

    def made_on(self, base: str) -> Sequence[StoredImage]:
        """The images that `add_layer` made with this id as their label BASE, the latest first."""
        ...

    def add_layer(self, image: str, layer: Layer, labels: Mapping[str, str], key: str) -> str:
        """Unpacks a tar archive in an image's working directory (``/workspace`` if it has none).

        All or nothing: an error, also one raised by ``layer``, leaves nothing behind.

        Args:
            image: the id of the image below.
            layer: the archive, for a folder that its paths begin with.
            labels: the new image's.
            key: what `find` will find it under.

        Returns:
            The new image's id.
        """
        ...

    def build(self, context: Iterator[bytes], args: Mapping[str, str], labels: Mapping[str, str], key: str) -> str:
        """Builds `DOCKERFILE` of a context, a tar archive; the build's output is progress.

        Returns:
            The new image's id.
        """
        ...


def build(
    workspace: Workspace,
    image: str,
    store: ImageStore,
    *,
    cache: str = "",
    notice: Notice = lambda _: None,
    again: bool = False,
) -> str:
    """The id of an image with a workspace in it; one that is there already is found by its content.

    Args:
        workspace: the code.
        image: what it goes on; may be empty if the workspace has a `DOCKERFILE`, which gets it as ``ARG IMAGE``.
        store: where images are.
        cache: a folder for what was hashed before; empty for none.
        notice: takes lines about what may surprise.
        again: have the store build a `DOCKERFILE` even if nothing changed here, as for newer images below it.

    Raises:
        InvalidJob: the workspace is not there, can't be read or changes meanwhile.
        BackendError: the store refused.
        BackendUnavailable: it can't be reached.
    """
    kept = Cache(cache)
    with opened(workspace) as sources:
        entries = select(sources, notice)
        name = "" if any(s.fetched for s in sources) else "\0".join(s.folder for s in sources)
        manifest = manifest_of(entries, kept, name)
        content = hash_of(manifest)
        by_file = manifest.get(DOCKERFILE, ("folder", ""))[0] != "folder"
        if not by_file and not image:
            raise refused(SOURCE, DOCKERFILE, "is not in the workspace, and there is no image", "name one: --image")
        base = store.base(image) if image else ""  # only now: a wrong workspace is said before a long pull
        if not entries:
            notice("nothing of the workspace travels: it is empty, or all of it is ignored")
        key = hashlib.sha256(f"{content}\0{base}\0{image if by_file else ''}".encode()).hexdigest()[:32]
        found = "" if by_file and again else store.find(key)
        if found:
            return found
        labels = {HASH: content, BASE: base}
        digests = {path: value for path, (_, value) in manifest.items()}
        if by_file:
            return store.build(layer.stream(entries, digests), {"IMAGE": image} if image else {}, labels, key)
        below, changed, layers = _start(entries, manifest, base, store, kept)
        made = store.add_layer(below, partial(layer.stream, changed, digests), {**labels, LAYERS: str(layers)}, key)
    kept.keep_manifest(content, manifest)
    return made


def _start(
    entries: Sequence[Entry], manifest: Manifest, base: str, store: ImageStore, cache: Cache
) -> tuple[str, Sequence[Entry], int]:
    """The image that a layer goes on, what is in the layer, and how many layers of ours there are then."""
    whole = sum(entry.size for entry in entries)
    for made in store.made_on(base)[:_LOOKED_AT]:
        layers = made.labels.get(LAYERS, "")
        content = made.labels.get(HASH, "")
        if not layers.isdecimal() or int(layers) >= MAX_LAYERS:
            continue
        old = cache.manifest(content)
        if old is None or hash_of(old) != content:
            continue
        added, changed, removed = difference(old, manifest)
        wanted = {*added, *changed}
        part = [entry for entry in entries if entry.path in wanted]
        if not removed and sum(entry.size for entry in part) <= whole * _CHANGES:
            return made.id, part, int(layers) + 1
    return base, entries, 1
