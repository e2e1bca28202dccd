"""What was hashed before, in files that may be lost, damaged or old without harm."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from typing import Any

_FILES = 32  # of each kind; a file of 10,000 entries has about a megabyte


class Cache:
    """Hashes of files and manifests of workspaces.

    Args:
        folder: where; empty to keep nothing.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def stamps(self, workspace: str) -> dict[str, list[Any]]:
        """Source of a file -> its stamp and, last, the hash of its content."""
        found = self._read("stamps", _digest(workspace))
        good = isinstance(found, dict) and all(isinstance(value, list) and value for value in found.values())
        return found if good else {}

    def keep_stamps(self, workspace: str, stamps: dict[str, list[Any]]) -> None:
        """Keeps them, if possible."""
        self._write("stamps", _digest(workspace), stamps)

    def manifest(self, content_hash: str) -> dict[str, tuple[str, str]] | None:
        """The manifest with a hash; the caller makes sure that it is."""
        found = self._read("manifests", content_hash)
        try:
            return {str(path): (str(kind), str(value)) for path, (kind, value) in found.items()}
        except (AttributeError, TypeError, ValueError):
            return None

    def keep_manifest(self, content_hash: str, manifest: Any) -> None:
        """Keeps it, if possible."""
        self._write("manifests", content_hash, dict(manifest))

    def _read(self, kind: str, name: str) -> Any:
        if not self._folder:
            return None
        try:
            with open(os.path.join(self._folder, kind, f"{name}.json"), encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError, RecursionError):
            return None

    def _write(self, kind: str, name: str, content: Any) -> None:
        if not self._folder:
            return
        folder = os.path.join(self._folder, kind)
        temporary = ""
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=folder, suffix=".new")
            with open(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(content, separators=(",", ":")))  # in one piece: dump() is the slow one
            os.replace(temporary, os.path.join(folder, f"{name}.json"))
            _trim(folder)
        except OSError:  # no room, no permission: it will be hashed again
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _trim(folder: str) -> None:
    with os.scandir(folder) as found:
        files = sorted(found, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files[_FILES:]:
        os.unlink(file.path)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
