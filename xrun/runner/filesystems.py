"""Which kind of file system a folder is on."""

from __future__ import annotations

import os
import re

MOUNTINFO = "/proc/self/mountinfo"

# those that one machine alone has: every process that has a file open there sees the same memory
_LOCAL = {"aufs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "ramfs", "reiserfs"}
_LOCAL |= {"tmpfs", "ubifs", "xfs", "zfs"}


def is_local(folder: str) -> bool:
    """Whether a folder is on a file system of this machine alone, as far as is known; NFS and its like are not."""
    return kind(folder) in _LOCAL


def kind(folder: str) -> str:
    """The type of the file system that holds a folder, as in ``ext4`` or ``nfs4``; empty if not known."""
    try:
        with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            return kind_of(os.path.realpath(folder), file.read())
    except OSError:
        return ""


def kind_of(folder: str, mountinfo: str) -> str:
    """`kind`, from what the kernel says.

    Args:
        folder: an absolute path without symbolic links.
        mountinfo: the text of ``/proc/self/mountinfo``, see proc_pid_mountinfo(5).
    """
    longest, kind = "", ""
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        fields = head.split(" ")
        if len(fields) < 5 or not tail:
            continue
        point = fields[4] if "\\" not in fields[4] else _unescaped(fields[4])
        # of two on one point the later hides the earlier
        if len(point) >= len(longest) and (folder == point or folder.startswith(point.rstrip("/") + "/")):
            longest, kind = point, tail.split(" ", 1)[0]
    return kind


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
