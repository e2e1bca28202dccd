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
