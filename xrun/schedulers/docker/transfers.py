"""Images to and from registries, as an engine carries them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers.docker.client import Engine, Refused

_UNKNOWN, _REFUSED = "XR135", "XR136"
_INTERVAL = 1.0  # seconds between lines about a transfer

NO_IMAGE = ("not found", "manifest unknown", "does not exist", "pull access denied", "no matching manifest")
NO_ACCESS = ("denied", "unauthorized", "no basic auth", "authentication required", "forbidden")
NO_REGISTRY = (
    *("connection refused", "no such host", "timeout", "timed out", "unreachable", "no route", "connection reset"),
    *("eof", "server misbehaving", "temporary failure"),
)
_DONE = ("Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted from")


class Transfers:
    """What an engine pulls and pushes.

    Args:
        engine: the engine.
        progress: takes a line a second.
    """

    def __init__(self, engine: Engine, progress: Callable[[str], None]) -> None:
        self._engine = engine
        self._progress = progress

    def pull(self, image: str) -> None:
        """Fetches an image.

        Raises:
            BackendError: its registry has none, or refuses.
            BackendUnavailable: the registry or the engine can't be reached.
        """
        try:
            with self._engine.doing(f"pull {image}") as api:
                self._follow(f"pulling {image}", api.pull(image, stream=True, decode=True))
        except Refused as error:
            raise _explained(f"image {image} can't be pulled", str(error)) from error
        except _Failed as error:
            raise _explained(f"image {image} can't be pulled", str(error)) from error

    def push(self, image_id: str, repo: str) -> str:
        """Sends an image to a repository, under a tag that its id gives.

        Returns:
            The image there: ``repo@sha256:...``.

        Raises:
            BackendError: the registry refuses, or the repository's name is none.
            BackendUnavailable: the registry or the engine can't be reached.
        """
        if "@" in repo or ":" in repo.rpartition("/")[2]:
            raise BackendError(f"{repo} can't be pushed to: name a repository without a tag or digest", code=_REFUSED)
        tag = f"xrun-{image_id.removeprefix('sha256:')[:16]}"
        try:
            with self._engine.doing(f"name an image {repo}:{tag}") as api:
                api.tag(image_id, repo, tag)
            with self._engine.doing(f"push {repo}:{tag}") as api:
                digest = self._follow(f"pushing to {repo}", api.push(repo, tag, stream=True, decode=True))
        except (Refused, _Failed) as error:
            raise _explained(f"the image can't be pushed to {repo}", str(error)) from error
        if not digest:
            raise BackendUnavailable(f"the engine went away while it pushed to {repo}; run again")
        return f"{repo}@{digest}"

    def _follow(self, what: str, events: Iterable[Mapping[str, Any]]) -> str:
        """Tells about a transfer until it ends; the digest of what was pushed."""
        layers: dict[str, bool] = {}
        amounts: dict[str, tuple[int, int]] = {}
        digest, reason, told = "", "", time.monotonic()
        self._progress(what)
        for event in events:  # to their end, so that the connection is free again
            reason = reason or " ".join(str(event.get("error", "")).split())
            digest = str((event.get("aux") or {}).get("Digest", digest))
            layer, detail = event.get("id"), event.get("progressDetail")
            if layer is None or detail is None:
                continue  # about the whole, not about a layer
            layers[layer] = str(event.get("status", "")).startswith(_DONE)
            if detail.get("total") and str(event.get("status")) in {"Downloading", "Pushing"}:
                amounts[layer] = (min(detail["current"], detail["total"]), detail["total"])
            if time.monotonic() - told > _INTERVAL:
                told = time.monotonic()
                self._progress(f"{what}: {_state(layers, amounts)}")
        if reason:
            raise _Failed(reason)
        return digest


class _Failed(Exception):
    """What the engine said at the end of a transfer."""


def _state(layers: Mapping[str, bool], amounts: Mapping[str, tuple[int, int]]) -> str:
    moved = sum(total if layers[layer] else current for layer, (current, total) in amounts.items())
    whole = sum(total for _, total in amounts.values())
    size = f", {moved / 1e6:.0f} of {whole / 1e6:.0f} MB" if whole else ""
    return f"{sum(layers.values())} of {len(layers)} layers{size}"


def _explained(what: str, reason: str) -> BackendError | BackendUnavailable:
    """The error that a registry's words, as the engine repeats them, stand for."""
    what, reason, low = " ".join(what.split()), " ".join(reason.split()), reason.lower()
    if any(words in low for words in NO_REGISTRY):
        return BackendUnavailable(f"{what}: its registry can't be reached ({reason})")
    if any(words in low for words in NO_IMAGE):
        fix = "check its name and tag; if it is private, docker login first"
        return BackendError(f"{what}: {reason}; {fix}", code=_UNKNOWN)
    if any(words in low for words in NO_ACCESS):
        return BackendError(f"{what}: {reason}; docker login to its registry, with the right to it", code=_REFUSED)
    return BackendError(f"{what}: {reason}", code=_REFUSED)
