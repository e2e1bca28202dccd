"""What exists and can be named at the command line, for completion: quickly found, and what fails is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from xrun import schedulers
from xrun.specs.handle import DEFAULT_SESSION

_MOST_HANDLES = 200


def known_handles(begin: str = "") -> list[str]:
    """Handles of jobs, the newest first: those of this machine, then those that the history knows.

    Args:
        begin: how the handle, or its app id alone, begins.
    """
    apps = {"", begin} if "/" not in begin else {begin.rpartition("/")[2] if begin.count("/") > 2 else ""}
    found: dict[str, None] = {}
    for app in sorted(apps, reverse=True):
        for source in (_local_handles, _past_handles):
            with suppress(Exception):  # a home that can't be read has no jobs to show
                found.update(dict.fromkeys(source(app)))
    whole = [h for h in found if h.startswith(begin)]
    return whole or [h for h in found if h.rpartition("/")[2].startswith(begin)]


def roles_of(handle: str) -> dict[str, int]:
    """Role -> number of replicas of a job; empty if that isn't quickly known."""
    with suppress(Exception):
        scheduler, _, rest = handle.partition("://")
        if scheduler in ("local", "local_cwd"):
            from xrun.schedulers.local.recent import recent_roles

            return recent_roles(rest.rpartition("/")[2])
    return {}


def profiles() -> list[str]:
    """Profiles of the configuration."""
    return list(_configured(lambda config: config.profiles) or ())


def default_scheduler() -> str:
    """The one that is used when none is named."""
    named = os.environ.get("XRUN_SCHEDULER") or _configured(lambda config: config.run_default("scheduler"))
    return str(named or schedulers.DEFAULT_SCHEDULER)


def scheduler_options(scheduler: str) -> list[tuple[str, str, Any]]:
    """Name, help and type of each option of a scheduler."""
    with suppress(Exception):  # a plugin may fail in any way
        made = schedulers.create_scheduler(scheduler, DEFAULT_SESSION)
        return [(name, option.help, option.type_) for name, option in made.run_opts()]
    return []


def codes() -> Iterable[tuple[str, str]]:
    """Code of each error that can be explained, with its title."""
    with suppress(Exception):
        from xrun.cli.explanations import load

        return [(code, entry.title) for code, entry in load().items()]
    return []


def _local_handles(app: str) -> list[str]:
    from xrun.schedulers.local.recent import recent_handles

    return recent_handles(app, _MOST_HANDLES)


def _past_handles(app: str) -> list[str]:
    from xrun.runner.history import History

    history = History(lambda _: None, kept=True)
    handles = [entry.handle for entry in history.recent()]
    return [handle for handle in handles if handle.rpartition("/")[2].startswith(app)][:_MOST_HANDLES]


def _configured(ask: Callable[[Any], Any]) -> Any:
    try:
        from xrun.runner.config import load

        return ask(load())
    except Exception:  # noqa: BLE001 - a configuration that is wrong is said when it is used, not under a TAB
        return None
