"""What of a workspace travels: its files, folders and links, each with its place."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from xrun.workspaces.ignore import Rules, rules_of
from xrun.workspaces.problems import TWICE, refused, shown_path, unreadable
from xrun.workspaces.sources import Source

DOCKERFILE = "Dockerfile.xrun"
"""What an image is built by, instead of a layer; in a workspace's top folder."""

FILE, PROGRAM, FOLDER, LINK = "file", "program", "folder", "link"
_SHOWN_NOTICES = 5
_WHITEOUT = ".wh."  # in a layer of an image such a file says that another one is gone

Notice = Callable[[str], None]


class Entry(NamedTuple):
    """One thing that travels.

    Attributes:
        path: where it goes, below the job's working directory.
        kind: FILE, PROGRAM (a file that can be executed), FOLDER or LINK.
        source: where it is now.
        size: of a file.
        target: of a link.
        stamp: device, inode, size and the times of a file; any change of it shows in these.
    """

    path: str
    kind: str
    source: str
    size: int = 0
    target: str = ""
    stamp: tuple[int, ...] = ()


def select(sources: Sequence[Source], notice: Notice) -> list[Entry]:
    """What travels of all sources, in the order of the paths.

    Args:
        sources: the folders.
        notice: takes a line about what stays at home though no ignore file says so, or may surprise.

    Raises:
        InvalidJob: something can't be read, or two sources have a file for the same place.
    """
    found: dict[str, Entry] = {}
    for source in sources:
        said: list[str] = []
        for folder in _parents(source.place):
            _add(found, Entry(folder, FOLDER, source.folder))
        for entry in _walk(source, said):
            _add(found, entry)
        for line in said[:_SHOWN_NOTICES]:
            notice(line)
        if len(said) > _SHOWN_NOTICES:
            notice(f"{len(said) - _SHOWN_NOTICES} more like these in {shown_path(source.name)}")
    return [found[path] for path in sorted(found)]


def _add(found: dict[str, Entry], entry: Entry) -> None:
    there = found.setdefault(entry.path, entry)
    if there is not entry and not (there.kind == entry.kind == FOLDER):
        message = f"comes from {shown_path(there.source)} and from {shown_path(entry.source)}"
        raise refused(TWICE, entry.path, message, "give the sources different places: --workspace a=DIR,b=DIR")


def _parents(place: str) -> Iterator[str]:
    parts = place.split("/") if place else []
    for i in range(1, len(parts) + 1):
        yield "/".join(parts[:i])


def _walk(source: Source, said: list[str]) -> Iterator[Entry]:
    """What travels of one source. Links are not followed, so that this ends."""
    waiting: list[tuple[str, Rules, bool]] = [("", rules_of(source.folder, within=source.fetched), True)]
    while waiting:
        folder, above, travels = waiting.pop()
        inside = _scan(os.path.join(source.folder, folder))
        rules = above.inside(folder)
        held: list[Entry] = []
        for there in inside:
            path = f"{folder}/{there.name}" if folder else there.name
            if there.name == ".git":
                continue
            is_folder = there.is_dir(follow_symlinks=False)
            ignored = rules.ignored(path, is_folder) and path != DOCKERFILE
            if there.name.startswith(_WHITEOUT):
                said += [] if ignored else [f"{shown_path(there.path)} has a name that removes files; it stays at home"]
                continue
            if is_folder:
                if not ignored or rules.searched(path):
                    waiting.append((path, rules, not ignored))
                if not ignored:
                    held.append(Entry(posixpath.join(source.place, path), FOLDER, there.path))
            elif not ignored:
                held += _entry(source, path, there, said)
        if held and not travels:  # the folder is ignored, but not all that is in it
            yield from (Entry(posixpath.join(source.place, above), FOLDER, "") for above in _parents(folder))
        yield from held


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda there: there.name)
    except FileNotFoundError:
        return []  # removed since we saw it
    except OSError as error:
        raise unreadable(folder, error) from error


def _entry(source: Source, path: str, there: os.DirEntry[str], said: list[str]) -> list[Entry]:
    place = posixpath.join(source.place, path)
    try:
        info = there.stat(follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(there.path)
            if _leads_out(path, target):
                said.append(f"the link {shown_path(there.path)} leads out of the workspace; it travels as it is")
            return [Entry(place, LINK, there.path, target=target)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(there.path, error) from error
    if not stat.S_ISREG(info.st_mode):
        said.append(f"{shown_path(there.path)} is no file, folder or link; it stays at home")
        return []
    kind = PROGRAM if info.st_mode & 0o100 else FILE
    return [Entry(place, kind, there.path, info.st_size, stamp=stamp_of(info))]


def stamp_of(info: os.stat_result) -> tuple[int, ...]:
    """What tells whether a file is still the same."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _leads_out(path: str, target: str) -> bool:
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return whole.startswith(("/", "../")) or whole == ".."
