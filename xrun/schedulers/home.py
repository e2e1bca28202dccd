"""Where everything of a user's that xrun keeps on this machine is."""

from __future__ import annotations

import os
import sys

from xrun.errors import BackendError, shown

HOME_VARIABLE = "XRUN_HOME"


def home() -> str:
    """The folder of all xrun state: ``$XRUN_HOME``, else the user's state folder (XDG).

    Raises:
        BackendError: it is relative to a folder that is gone.
    """
    given = os.environ.get(HOME_VARIABLE)
    try:
        return os.path.abspath(given) if given else _folder("state", "XDG_STATE_HOME", "~/.local/state")
    except FileNotFoundError as error:
        message = f"the current folder is gone, and {HOME_VARIABLE} {shown(given)} is in it; change to another one"
        raise BackendError(message, code="XR105") from error


def config_folder() -> str:
    """The folder of the user's own configuration (XDG)."""
    return _folder("config", "XDG_CONFIG_HOME", "~/.config")


def unwritable(folder: str) -> str:
    """Why nothing can be written to a folder, or to where it would be made; empty if it can."""
    place = folder
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return f"{place} is no folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{folder} is not writable" if place == folder else f"{folder} can't be made: {place} is not writable"
    size = os.statvfs(place)
    if size.f_blocks == 0:  # as /proc and /sys, into which root may write by its permissions
        return f"{place} holds no files of anybody's: its file system has no size"
    if size.f_bavail == 0:
        return f"no space is left in {place}"
    return ""


def _folder(kind: str, variable: str, default: str) -> str:
    if sys.platform == "linux":  # what platformdirs does here, without the 5 ms that importing it takes of every verb
        given = os.environ.get(variable, "")
        return os.path.join(given if os.path.isabs(given) else os.path.expanduser(default), "xrun")
    import platformdirs

    return str(getattr(platformdirs, f"user_{kind}_path")("xrun"))
