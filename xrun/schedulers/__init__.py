"""WHERE jobs run: one package a backend, and what they share.

A backend knows the specs and nothing of another backend; its ``client.py`` is the only file that touches the system.
The built-in ones are a table of names; nothing of a backend is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from xrun import plugins
from xrun.errors import BackendError, UnknownName, XrunError

if TYPE_CHECKING:
    from xrun.schedulers.api import Scheduler, SchedulerFactory

BUILTIN = {
    "local": "xrun.schedulers.local.scheduler:create_scheduler",
    "memory": "xrun.schedulers.memory.scheduler:create_scheduler",
    "docker": "xrun.schedulers.docker.scheduler:create_scheduler",
    "slurm": "xrun.schedulers.slurm.scheduler:create_scheduler",
    "kubernetes": "xrun.schedulers.kubernetes.scheduler:create_scheduler",
}
"""Name -> ``module:factory``; the first one is the default."""

ALIASES = {"local_cwd": "local", "local_docker": "docker"}
"""TorchX's names of our schedulers."""

DEFAULT_SCHEDULER = "local"

__all__ = [
    "ALIASES",
    "BUILTIN",
    "DEFAULT_SCHEDULER",
    "create_scheduler",
    "get_scheduler_factories",
    "own_name",
    "require_name",
    "scheduler_names",
]


def create_scheduler(name: str, session: str, params: Mapping[str, Any] | None = None) -> Scheduler[Any]:
    """Makes one scheduler.

    Args:
        name: its name or alias.
        session: the profile it works in.
        params: passed to its factory.

    Raises:
        UnknownName: there is none of that name, or its plugin can't be loaded.
        BackendError: a plugin's factory fails.
    """
    name = own_name(name)
    factory = _load(name)
    if factory is None:
        raise _unknown(name)
    if name in BUILTIN:
        return factory(session, **(params or {}))
    try:
        return factory(session, **(params or {}))
    except XrunError:
        raise
    except Exception as error:
        raise BackendError(f"scheduler {name} can't be made: {type(error).__name__}: {error}", code="XR092") from error


def own_name(name: str) -> str:
    """The name that we give a scheduler, whether it was named by that or by an alias."""
    return ALIASES.get(name, name)


def require_name(name: str, source: str = "") -> str:
    """`own_name` of a scheduler that there is; nothing of it is imported.

    Args:
        name: its name or alias.
        source: what named it, for the message, if that isn't plain to see.

    Raises:
        UnknownName: there is none of that name.
    """
    name = own_name(name)
    if name not in BUILTIN and name not in scheduler_names():
        raise _unknown(name, source)
    return name


def scheduler_names() -> list[str]:
    """Every scheduler there is, ours first; plugins are not imported."""
    return [*BUILTIN, *(n for n in plugins.targets(plugins.SCHEDULERS) if n not in BUILTIN)]


def get_scheduler_factories() -> dict[str, SchedulerFactory]:
    """Name -> factory, for every scheduler that can be loaded."""
    found = {name: _load(name) for name in scheduler_names()}
    return {name: factory for name, factory in found.items() if factory is not None}


def _unknown(name: str, source: str = "") -> UnknownName:
    hint = plugins.broken_hint(plugins.SCHEDULERS, name) or (f"{source} names it" if source else "")
    return UnknownName("scheduler", name, scheduler_names(), hint, code="XR075")


def _load(name: str) -> SchedulerFactory | None:
    if name in BUILTIN:
        module, _, attribute = BUILTIN[name].partition(":")
        factory: SchedulerFactory = getattr(import_module(module), attribute)
        return factory
    return plugins.load(plugins.SCHEDULERS, name)
