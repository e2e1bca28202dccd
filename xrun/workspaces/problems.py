"""Errors about a workspace: a job that can't be sent as it is."""

from __future__ import annotations

from xrun.errors import InvalidJob
from xrun.specs.problems import Problem

SOURCE, FILE, IGNORE, TWICE, FETCH = "XR055", "XR056", "XR057", "XR058", "XR059"


def refused(code: str, path: str, message: str, fix: str) -> InvalidJob:
    """The error about one path of a workspace."""
    return InvalidJob([Problem(code, shown_path(path), message, fix)], "workspace")


def unreadable(path: str, error: OSError) -> InvalidJob:
    """A file that can't be read."""
    reason = error.strerror or str(error)
    return refused(FILE, path, f"can't be read: {reason}", "make it readable, or leave it out by an ignore file")


def changed(path: str) -> InvalidJob:
    """A file that is another one by the time it is sent."""
    return refused(FILE, path, "changed while it was read", "run again when nothing writes to it")


def shown_path(path: str) -> str:
    """A path on one line, whatever its bytes are."""
    return path if path.isprintable() else ascii(path)[1:-1]
