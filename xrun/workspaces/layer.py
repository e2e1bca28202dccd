"""Entries as a tar archive: the same bytes for the same content, streamed."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping

from xrun.workspaces.problems import changed, unreadable
from xrun.workspaces.tree import FILE, FOLDER, LINK, PROGRAM, Entry

CHUNK = 256 * 1024
"""About how much is in memory, and sent, at a time."""

# zip files can't hold anything older, so a program that packs its own sources would fail with 1970
_TIME = 315_532_800  # 1 January 1980
_BLOCK = tarfile.BLOCKSIZE
_TYPES = {
    FILE: (tarfile.REGTYPE, 0o644),
    PROGRAM: (tarfile.REGTYPE, 0o755),
    FOLDER: (tarfile.DIRTYPE, 0o755),
    LINK: (tarfile.SYMTYPE, 0o777),
}


def stream(entries: Iterable[Entry], digests: Mapping[str, str], folder: str = "") -> Iterator[bytes]:
    """The archive, in pieces.

    Args:
        entries: what is in it; folders before what is in them.
        digests: path -> SHA-256 of the content that each file must still have.
        folder: what every path in the archive begins with.

    Raises:
        InvalidJob: a file can't be read, or has changed.
    """
    waiting = bytearray()
    for entry in entries:
        waiting += _header(entry, folder)
        if entry.kind in (FILE, PROGRAM):
            for piece in _content(entry, digests[entry.path]):
                waiting += piece
                if len(waiting) >= CHUNK:
                    yield bytes(waiting)
                    waiting.clear()
            waiting += bytes(-entry.size % _BLOCK)
    yield bytes(waiting) + bytes(2 * _BLOCK)


def digest(entry: Entry) -> str:
    """SHA-256 of a file's content.

    Raises:
        InvalidJob: it can't be read.
    """
    hashed = hashlib.sha256()
    for piece in pieces(entry):
        hashed.update(piece)
    return hashed.hexdigest()


def _header(entry: Entry, folder: str) -> bytes:
    info = tarfile.TarInfo(os.path.join(folder, entry.path))
    info.type, info.mode = _TYPES[entry.kind]
    info.size, info.mtime, info.linkname = entry.size, _TIME, entry.target
    # GNU's form holds names of any bytes and any length as they are
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _content(entry: Entry, expected: str) -> Iterator[bytes]:
    """Exactly the bytes that were hashed."""
    hashed, left = hashlib.sha256(), entry.size
    for piece in pieces(entry):
        left -= len(piece)
        if left < 0:
            raise changed(entry.source)
        hashed.update(piece)
        yield piece
    if left or hashed.hexdigest() != expected:
        raise changed(entry.source)


def pieces(entry: Entry) -> Iterator[bytes]:
    """A file's content.

    Raises:
        InvalidJob: it can't be read, or is a file no more.
    """
    try:
        # what was a file may be a pipe by now, which must not keep us waiting
        file = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise changed(entry.source)
            while piece := os.read(file, CHUNK):
                yield piece
        finally:
            os.close(file)
    except FileNotFoundError as error:
        raise changed(entry.source) from error
    except OSError as error:
        raise unreadable(entry.source, error) from error
