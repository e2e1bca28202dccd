"""Where a workspace's files come from: the only file that uses fsspec for it."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from xrun.errors import XrunError
from xrun.specs.workspace import GIT_ROOT, Workspace
from xrun.workspaces.problems import FETCH, SOURCE, refused

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

_CHUNK = 1024 * 1024


class Source(NamedTuple):
    """A folder of this machine and the place below the job's working directory where its content goes.

    Attributes:
        name: as the user wrote it.
        folder: the folder, without symbolic links.
        place: without ``.``, empty for the working directory itself.
        fetched: whether the folder is a temporary copy.
    """

    name: str
    folder: str
    place: str
    fetched: bool


def local_folder(source: str) -> str:
    """The folder of this machine that a source is; empty for a URL that has to be fetched.

    Raises:
        InvalidJob: it is ``git://`` and no git repository is around the current folder.
    """
    if source == GIT_ROOT:
        return _current_git_top()
    path = source.removeprefix("file://")
    return "" if "://" in path or "::" in path else path


def git_top(folder: str) -> str:
    """The nearest folder upward that holds ``.git``; empty if there is none."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    return folder


@contextmanager
def opened(workspace: Workspace) -> Iterator[Sequence[Source]]:
    """The sources of a workspace as folders; those that had to be fetched are removed afterwards.

    Raises:
        InvalidJob: a source isn't there, isn't a folder or can't be fetched.
    """
    with ExitStack() as stack:
        found = []
        for name, place in workspace.projects.items():
            folder, fetched = local_folder(name), False
            if not folder:
                folder, fetched = stack.enter_context(tempfile.TemporaryDirectory(prefix="xrun-workspace-")), True
                _fetch(name, folder)
            elif not os.path.isdir(folder):
                message = "is a file, not a folder" if os.path.exists(folder) else "there is no such folder"
                raise refused(SOURCE, name, message, "name a folder, git:// or an fsspec URL")
            try:
                real = os.path.realpath(folder)
            except FileNotFoundError:
                raise refused(SOURCE, name, "the current folder is gone", "change to another one") from None
            clean = posixpath.normpath(place) if place else "."
            found.append(Source(name, real, "" if clean == "." else clean, fetched))
        yield found


def read_text(url: str, limit: int = _CHUNK) -> str:
    """The text of a file here or behind an fsspec URL.

    Args:
        url: the path or URL.
        limit: bytes that it may have.

    Raises:
        OSError: it can't be read, is no text or is too big.
    """
    try:
        if local_folder(url):
            with open(local_folder(url), "rb") as reader:
                data = reader.read(limit + 1)
        else:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped]

            system, path = url_to_fs(url)
            with system.open(path, "rb") as reader:
                data = reader.read(limit + 1)
        text = bytes(data).decode()
    except OSError:
        raise
    except Exception as error:  # each file system has errors of its own, and an unknown protocol is a ValueError
        raise OSError(" ".join(str(error).split())[:300] or type(error).__name__) from error
    if len(data) > limit:
        raise OSError(f"more than {limit} bytes")
    return text


def _current_git_top() -> str:
    try:
        top = git_top(os.getcwd())
    except FileNotFoundError:
        top = ""  # the current folder is gone
    if not top:
        message = "no git repository is around the current folder"
        raise refused(SOURCE, GIT_ROOT, message, "name a folder: --workspace .")
    return top


def _fetch(url: str, folder: str) -> None:
    try:
        from fsspec.core import url_to_fs

        system, top = url_to_fs(url)
        _copy(url, system, top, folder)
    except XrunError:
        raise
    except Exception as error:  # each file system has errors of its own, and an unknown protocol is a ValueError
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"can't be fetched: {reason:.300}"
        raise refused(FETCH, url, message, "check the URL, or name a local folder") from error


def _copy(url: str, system: AbstractFileSystem, top: str, folder: str) -> None:
    if not system.isdir(top):
        message = "is a file, not a folder" if system.exists(top) else "there is no such folder"
        raise refused(SOURCE, url, message, "check the URL")
    found: dict[str, dict[str, Any]] = system.find(top, withdirs=True, detail=True)
    for path, info in sorted(found.items()):
        below = posixpath.relpath(path, top)
        if below == ".":
            continue
        if below.startswith("../"):
            raise refused(FETCH, path, "leads out of its folder", "rename it")
        to = os.path.join(folder, below)
        if info["type"] == "directory":
            os.makedirs(to, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with system.open(path, "rb") as reader, open(to, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
        mode = info.get("mode")
        if isinstance(mode, int) and mode & 0o100:  # most systems know of no such thing
            os.chmod(to, 0o755)  # noqa: S103 - it was executable where it came from
