"""What ``xrun doctor`` looks at: the engine, its disk, GPUs, the registry. Every answer has a time limit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from xrun.errors import BackendError, BackendUnavailable, XrunError
from xrun.schedulers import gpus as machine_gpus
from xrun.schedulers.api import Probe
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.transfers import NO_ACCESS, NO_IMAGE, NO_REGISTRY

PATIENCE = 5.0
"""Seconds that the engine has for each answer."""

_LITTLE = 2 << 30  # bytes free on the engine's disk below which an image may not fit


def look(engine: Engine, options: Mapping[str, Any]) -> list[Probe]:
    """All there is to say.

    Args:
        engine: one that doesn't wait long for answers.
        options: what the configuration says; ``image_repo`` and ``gpus`` are read.
    """
    try:
        with engine.doing("ask its version") as api:
            version, info = api.version(), api.info()
    except XrunError as error:
        return [Probe("engine", False, str(error), isinstance(error, BackendUnavailable))]
    found = [
        Probe("engine", True, f"{version.get('Version')} (API {version.get('ApiVersion')}) at {engine.host}"),
        _limits(info),
        _storage(engine, info),
        _restarts(info),
        _gpus(info, options),
    ]
    repo = str(options.get("image_repo") or "")
    return [*found, _registry(engine, repo)] if repo else found


def _limits(info: Mapping[str, Any]) -> Probe:
    lacking = [what for what, key in (("memMB", "MemoryLimit"), ("cpu", "CpuCfsQuota")) if not info.get(key)]
    if lacking:
        return Probe("limits", False, f"the engine's kernel can't limit {' and '.join(lacking)}; jobs get no limit")
    return Probe("limits", True, "cpu and memMB")


def _storage(engine: Engine, info: Mapping[str, Any]) -> Probe:
    driver, folder = str(info.get("Driver")), str(info.get("DockerRootDir"))
    if driver == "vfs":
        return Probe("storage", False, "vfs copies the whole image for each container; configure overlay2")
    if not engine.host.startswith("unix://"):
        return Probe("storage", True, driver)
    try:
        disk = os.statvfs(folder)
    except OSError:
        return Probe("storage", True, driver)  # not ours to look at
    free = disk.f_bavail * disk.f_frsize
    text = f"{driver}, {free / (1 << 30):.1f} GiB free in {folder}"
    return Probe("storage", free >= _LITTLE, text if free >= _LITTLE else f"{text}; docker system prune frees some")


def _restarts(info: Mapping[str, Any]) -> Probe:
    live = bool(info.get("LiveRestoreEnabled"))
    return Probe("restarts", True, "jobs go on (live-restore)" if live else "jobs end if the engine is restarted")


def _gpus(info: Mapping[str, Any], options: Mapping[str, Any]) -> Probe:
    can = "nvidia" in (info.get("Runtimes") or {})
    count = options.get("gpus", -1)
    try:
        devices = machine_gpus.visible_devices(count if isinstance(count, int) else -1, os.environb)
    except BackendError as error:
        return Probe("gpus", False, str(error))
    if devices and not can:
        detail = f"{len(devices)} found, and no runtime that passes them on; install the NVIDIA container toolkit"
        return Probe("gpus", False, detail)
    return Probe("gpus", True, f"{len(devices)} found{', runtime nvidia' if can else ''}")


def _registry(engine: Engine, repo: str) -> Probe:
    """Whether the engine reaches the repository, as whoever is logged in; a tag that isn't there is asked for."""
    try:
        with engine.doing(f"ask for {repo}") as api:
            api.inspect_distribution(f"{repo}:xrun-doctor")
    except Refused as error:
        low = str(error).lower()
        if any(words in low for words in NO_ACCESS) or error.status in (401, 403):
            return Probe("registry", False, f"{repo}: no access ({error}); docker login to it")
        if not any(words in low for words in NO_IMAGE):
            return Probe("registry", False, f"{repo}: {error}", any(words in low for words in NO_REGISTRY))
    except XrunError as error:
        return Probe("registry", False, f"{repo}: {error}", isinstance(error, BackendUnavailable))
    return Probe("registry", True, f"{repo} answers; whether it takes a push shows only a push")
