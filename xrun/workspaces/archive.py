"""A workspace as one compressed archive, for a system that has room for a small one."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from xrun.specs.workspace import Workspace
from xrun.workspaces import layer
from xrun.workspaces.cache import Cache
from xrun.workspaces.manifest import hash_of, manifest_of
from xrun.workspaces.sources import opened
from xrun.workspaces.tree import DOCKERFILE, Notice, select

_GZIP = 31  # zlib's word for gzip's own head and tail, which then hold no time


class Archive(NamedTuple):
    """A workspace in one piece.

    Attributes:
        content: hash of what is in it.
        data: a tar archive, compressed as gzip does; the same for the same content. Empty if it was too big.
        size: bytes of ``data``, or of as much as was made until it was too big.
    """

    content: str
    data: bytes
    size: int


def archive(workspace: Workspace, limit: int, *, cache: str = "", notice: Notice = lambda _: None) -> Archive:
    """The archive of a workspace.

    Args:
        workspace: the code.
        limit: bytes that it may have.
        cache: a folder for what was hashed before; empty for none.
        notice: takes lines about what may surprise.

    Raises:
        InvalidJob: the workspace is not there, can't be read or changes meanwhile.
    """
    kept = Cache(cache)
    with opened(workspace) as sources:
        entries = select(sources, notice)
        name = "" if any(s.fetched for s in sources) else "\0".join(s.folder for s in sources)
        manifest = manifest_of(entries, kept, name)
        if manifest.get(DOCKERFILE, ("folder", ""))[0] != "folder":
            notice(f"{DOCKERFILE} travels as a file: nothing is built here")
        if not entries:
            notice("nothing of the workspace travels: it is empty, or all of it is ignored")
        packer = zlib.compressobj(9, wbits=_GZIP)
        parts, size = [], 0
        for piece in layer.stream(entries, {path: value for path, (_, value) in manifest.items()}):
            parts.append(packer.compress(piece))
            size += len(parts[-1])
            if size > limit:
                return Archive(hash_of(manifest), b"", size)
        parts.append(packer.flush())
    data = b"".join(parts)
    return Archive(hash_of(manifest), data if len(data) <= limit else b"", len(data))
