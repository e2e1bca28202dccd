"""Finds a resource by its name: in the tables of this package, then in the sources added, then in plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from importlib import import_module
from typing import Any

from xrun import plugins
from xrun.errors import UnknownName
from xrun.specs.resources import SOURCES, Resource

_CLOUDS = ("aws", "gcp", "azure")


class UnknownResource(UnknownName, KeyError):
    """A resource name that nothing answers to; a KeyError as well, since `NamedResources` is a mapping."""

    __str__ = Exception.__str__


class NamedResources(Mapping[str, Resource]):
    """Every named resource there is, by name.

    A lookup makes a new Resource, so that the caller may change it. Sources and plugins are asked for a name only if no
    table has it, and for all of theirs on iteration. A plugin that fails is passed over and remembered.
    """

    def __init__(self) -> None:
        self._failed: dict[str, plugins.BrokenPlugin] = {}

    def __getitem__(self, name: str) -> Resource:
        """A new Resource of that name.

        Raises:
            UnknownName: there is none; the message has the names most like it, and why a plugin of that name failed.
        """
        resource = _table(name).get(name)
        if resource is None:
            resource = next((found for known, found in self._added(name) if known == name), None)
        if resource is None:
            raise UnknownResource("named resource", name, self, self._why_broken(name), code="XR078")
        return deepcopy(resource)

    def __iter__(self) -> Iterator[str]:
        """Every name once: the built-in ones, those of the sources, those of the plugins that work."""
        names = [name for table in ("generic", *_CLOUDS) for name in _resources_of(table)]
        names += [name for name, _ in self._added()]
        return iter(dict.fromkeys(names))

    def __len__(self) -> int:
        """How many names there are."""
        return sum(1 for _ in self)

    def _added(self, wanted: str = "") -> Iterator[tuple[str, Resource]]:
        for source in SOURCES:
            yield from source().items()
        # the plugin called as what is wanted comes first, so that as a rule no other is imported
        for plugin in sorted(plugins.targets(plugins.NAMED_RESOURCES), key=lambda name: name != wanted):
            yield from self._given_by(plugin).items()

    def _given_by(self, plugin: str) -> Mapping[str, Resource]:
        loaded = plugins.load(plugins.NAMED_RESOURCES, plugin)
        if loaded is None:
            return {}
        try:
            return _by_name(plugin, loaded() if callable(loaded) else loaded)
        except Exception as error:  # noqa: BLE001 - a plugin may fail in any way when called
            target = plugins.targets(plugins.NAMED_RESOURCES)[plugin]
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self._failed[plugin] = plugins.BrokenPlugin(plugins.NAMED_RESOURCES, plugin, target, reason)
            return {}

    def _why_broken(self, name: str) -> str:
        return plugins.broken_hint(plugins.NAMED_RESOURCES, name) or str(self._failed.get(name, ""))


def _table(name: str) -> Mapping[str, Resource]:
    cloud, underscore, _ = name.partition("_")
    return _resources_of(cloud if underscore and cloud in _CLOUDS else "generic")


def _resources_of(table: str) -> Mapping[str, Resource]:
    resources: Mapping[str, Resource] = import_module(f"xrun.specs.named.{table}").RESOURCES
    return resources


def _by_name(plugin: str, given: Any) -> Mapping[str, Resource]:
    if isinstance(given, Resource):
        return {plugin: given}
    if isinstance(given, Mapping) and all(isinstance(value, Resource) for value in given.values()):
        return given
    raise TypeError(f"it gives {given!r:.80}, which is neither a Resource nor a mapping of names to them")


named_resources = NamedResources()


def get_named_resource(name: str) -> Resource:
    """A new Resource by name, as in ``get_named_resource("gpu.small")``.

    Args:
        name: a built-in one, one of xrun.toml or a plugin's.

    Returns:
        A Resource of the caller's own; cpu in cores, memMB in MiB.

    Raises:
        UnknownName: there is none of that name; the message has the names most like it.
    """
    return named_resources[name]


get_named_resources = get_named_resource
