"""Where everything of a user's that xrun keeps on this machine is."""

from __future__ import annotations

import os

HOME_VARIABLE = "XRUN_HOME"


def home() -> str:
    """The folder of all xrun state: ``$XRUN_HOME``, else the user's state folder (XDG)."""
    given = os.environ.get(HOME_VARIABLE)
    if given:
        return os.path.abspath(given)
    from platformdirs import user_state_path

    return str(user_state_path("xrun"))


def unwritable(folder: str) -> str:
    """Why nothing can be written to a folder, or to where it would be made; empty if it can."""
    place = folder
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        return f"{place} is no folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{folder} is not writable" if place == folder else f"{folder} can't be made: {place} is not writable"
    if os.statvfs(place).f_bavail == 0:
        return f"no space is left in {place}"
    return ""
