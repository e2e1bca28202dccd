"""Entry points of other packages, found and loaded only when a name isn't ours.

A plugin adds to what xrun ships and never hides it. One that can't be imported is recorded here, with the reason, and
everything else goes on. Reading the installed packages' metadata costs tens of milliseconds, so callers look in their
own tables first.
"""

from __future__ import annotations

import contextlib
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution, EntryPoint

SCHEDULERS = "xrun.schedulers"
COMPONENTS = "xrun.components"
NAMED_RESOURCES = "xrun.named_resources"
CLI_COMMANDS = "xrun.cli.commands"


class BrokenPlugin(NamedTuple):
    """A plugin that could not be loaded.

    Attributes:
        group: the entry-point group it is in.
        name: its name there.
        target: the object it points at, as ``module:attribute``.
        reason: the first line of what went wrong.
    """

    group: str
    name: str
    target: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} ({self.group}, {self.target}) can't be loaded: {self.reason}"


_broken: dict[tuple[str, str], BrokenPlugin] = {}


class Plugin(NamedTuple):
    """An entry point as its package registers it.

    Attributes:
        group: the entry-point group it is in.
        name: its name there.
        target: the object it points at, as ``module:attribute``.
        package: the package it comes from.
        version: that package's version.
    """

    group: str
    name: str
    target: str
    package: str
    version: str


@cache
def targets(group: str) -> dict[str, str]:
    """Names of a group's plugins and what they point at, nothing imported.

    Args:
        group: an entry-point group, one of this module's constants.

    Returns:
        name -> ``module:attribute``, sorted by name; of two of one name, the first on the path.
    """
    found: dict[str, str] = {}
    for _, ep in _entry_points(group):
        found.setdefault(ep.name, ep.value)
    return dict(sorted(found.items()))


def registered(group: str) -> list[Plugin]:
    """Every plugin of a group with the package it comes from, sorted by name; nothing is imported.

    Of two of one name the first is the one that `load` gives.
    """
    found = [
        Plugin(group, ep.name, ep.value, _name_of(package), _version_of(package))
        for package, ep in _entry_points(group)
    ]
    return sorted(found, key=lambda plugin: plugin.name)


def _entry_points(group: str) -> Iterator[tuple[Distribution, EntryPoint]]:
    """In the order of the path; a package that stands on it twice counts once."""
    from importlib.metadata import distributions

    seen: set[str] = set()
    for distribution in distributions():
        name = _name_of(distribution)
        try:
            entry_points = [ep for ep in distribution.entry_points if ep.group == group]
        except Exception as error:  # noqa: BLE001 - one package's damaged metadata must not hide the others
            _broken[group, name] = BrokenPlugin(group, name, "entry_points.txt", _reason(error))
            continue
        if name not in seen:
            yield from ((distribution, ep) for ep in entry_points)
        if entry_points and name != "?":
            seen.add(name)


def load(group: str, name: str) -> Any | None:
    """Imports one plugin.

    Args:
        group: the entry-point group.
        name: the plugin's name in it.

    Returns:
        What the entry point names, or None if there is none of that name or it can't be loaded (see `broken`).
    """
    from importlib.metadata import EntryPoint

    target = targets(group).get(name)
    if target is None or (group, name) in _broken:
        return None
    entry_point = EntryPoint(name, target, group)
    try:
        if entry_point.pattern.match(target):
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints is no answer
                return entry_point.load()
        reason = "it is not module:attribute"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way at import
        reason = _reason(error)
    _broken[group, name] = BrokenPlugin(group, name, target, reason)
    return None


def broken(group: str | None = None) -> list[BrokenPlugin]:
    """The plugins that failed to load so far, of one group or of all."""
    return [b for b in _broken.values() if group in (None, b.group)]


def broken_hint(group: str, name: str) -> str:
    """Why the plugin of that name could not be loaded; empty if nothing is known against it."""
    found = _broken.get((group, name))
    return str(found) if found else ""


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _name_of(distribution: Distribution) -> str:
    try:
        return distribution.name or "?"
    except Exception:  # noqa: BLE001 - as damaged as the rest of it
        return "?"


def _version_of(distribution: Distribution) -> str:
    try:
        return distribution.version or "?"
    except Exception:  # noqa: BLE001 - as above
        return "?"
