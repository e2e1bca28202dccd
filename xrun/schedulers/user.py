"""Who submits."""

from __future__ import annotations

import os
import pwd
from functools import cache


@cache
def user_name() -> str:
    """The name that goes with our user id, else the id; not from the environment, which jobs may change."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
