"""``python -m xrun.apps.copy SRC DST``: a file or a folder from any place that fsspec reads to any that it writes."""

from __future__ import annotations

import os
import posixpath
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xrun.errors import UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

_CHUNK = 8 * 1024 * 1024


def copy(src: str, dst: str) -> int:
    """Copies a file, or what is in a folder, in pieces that fit in memory.

    Args:
        src: path or URL of a file or a folder.
        dst: path or URL. A file goes into a folder that is there or that ends with ``/``; the content of a folder goes
            below ``dst``.

    Returns:
        The number of files copied.

    Raises:
        UsageError: source and destination are the same, or one lies in the other.
        OSError: something is not there or not allowed.
    """
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    source, src_path = url_to_fs(src)
    target, dst_path = url_to_fs(dst)
    if not source.exists(src_path):
        raise FileNotFoundError(f"there is no {src}")
    if not source.isdir(src_path):
        if dst.endswith("/") or target.isdir(dst_path):
            dst_path = posixpath.join(dst_path, posixpath.basename(src_path))
        _refuse_overlap(source, src_path, target, dst_path)
        _copy_file(source, src_path, target, dst_path)
        return 1
    _refuse_overlap(source, src_path, target, dst_path)
    target.makedirs(dst_path, exist_ok=True)
    files = 0
    for path, info in sorted(source.find(src_path, withdirs=True, detail=True).items()):
        below = posixpath.relpath(path, src_path)
        if below == ".":
            continue
        to = posixpath.join(dst_path, below)
        if info["type"] == "directory":
            target.makedirs(to, exist_ok=True)
        else:
            _copy_file(source, path, target, to)
            files += 1
    return files


def _refuse_overlap(source: AbstractFileSystem, src: str, target: AbstractFileSystem, dst: str) -> None:
    """Writing to what is being read would empty it first."""
    if "file" in source.protocol and "file" in target.protocol:
        src, dst = os.path.realpath(src), os.path.realpath(dst)
    if source == target and f"{dst}/".startswith(f"{src.rstrip('/')}/"):
        raise UsageError(f"{dst} is {src} itself or lies in it; copy to another place")


def _copy_file(source: AbstractFileSystem, src: str, target: AbstractFileSystem, dst: str) -> None:
    target.makedirs(posixpath.dirname(dst), exist_ok=True)
    with source.open(src, "rb") as reader, target.open(dst, "wb") as writer:
        shutil.copyfileobj(reader, writer, _CHUNK)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program.

    Args:
        argv: its arguments (default: the process's).

    Returns:
        The exit code: 0, 1 if the copy failed, 2 if it was called wrongly.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) != 2:
        print(f"usage: python -m xrun.apps.copy SRC DST ({len(words)} arguments were given)", file=sys.stderr)
        return 2
    try:
        files = copy(*words)
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"can't copy {words[0]} to {words[1]}: {reason}", file=sys.stderr)
        return 1
    print(f"copied {files} file{'s' if files != 1 else ''} from {words[0]} to {words[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
