"""The newest apps of this home, quickly: for completion, so nothing is swept, locked or waited for."""

from __future__ import annotations

import json
import os
from typing import Any

from xrun.schedulers.local import state

_LONGEST = 4 << 20  # bytes of a record's first line


def recent_handles(app_prefix: str = "", limit: int = 200) -> list[str]:
    """Handles of apps, the newest first.

    Args:
        app_prefix: how their ids begin.
        limit: how many at most.
    """
    try:
        with os.scandir(os.path.join(state.root(), "apps")) as entries:
            found = [(_modified(entry), entry.name) for entry in entries if entry.name.startswith(app_prefix)]
    except OSError:
        return []
    found.sort(reverse=True)
    handles = (head_of(name).get("handle") for _, name in found[:limit])
    return [handle for handle in handles if isinstance(handle, str)]


def recent_roles(app_id: str) -> dict[str, int]:
    """Role -> number of replicas, as an app was submitted; empty if there is no such app."""
    app = head_of(app_id).get("app")
    roles = app.get("roles") if isinstance(app, dict) else None
    return {r["name"]: int(r.get("num_replicas", 1)) for r in roles or () if isinstance(r, dict) and "name" in r}


def head_of(app_id: str) -> dict[str, Any]:
    """The first line of an app's record; empty if it can't be read."""
    try:
        with open(os.path.join(state.folder_of(app_id), state.RECORD), "rb") as file:
            head = json.loads(file.readline(_LONGEST).strip(b"\0\n") or b"{}")
    except (OSError, ValueError):
        return {}
    return head if isinstance(head, dict) else {}


def _modified(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0
