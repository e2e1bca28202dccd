"""Name -> component: ours, a function in a file or a module, and those of installed plugins.

Ours are a table, so that listing or finding one imports nothing else; plugins are asked only for a name that isn't ours
and can't hide one that is.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from xrun import plugins
from xrun.errors import InvalidComponent, UnknownName, UsageError

if TYPE_CHECKING:
    from xrun.components.signature import Parameter

BUILTINS = {
    "dist.ddp": "xrun.components.dist:ddp",
    "dist.spmd": "xrun.components.dist:spmd",
    "utils.binary": "xrun.components.utils:binary",
    "utils.copy": "xrun.components.utils:copy",
    "utils.echo": "xrun.components.utils:echo",
    "utils.python": "xrun.components.utils:python",
    "utils.sh": "xrun.components.utils:sh",
    "utils.touch": "xrun.components.utils:touch",
}
"""The components that xrun ships, sorted; what they point at is imported on first use."""


class Component(NamedTuple):
    """A function under the name that it was asked for.

    Attributes:
        name: as typed, ``dist.ddp`` or ``file.py:fn``.
        fn: the function.
    """

    name: str
    fn: Callable[..., Any]

    @property
    def parameters(self) -> list[Parameter]:
        """What it takes, in the order of its signature."""
        from xrun.components import signature

        return signature.parameters(self.fn)

    @property
    def doc(self) -> str:
        """The first line of its docstring; empty if it has none."""
        lines = (inspect.getdoc(self.fn) or "").splitlines()
        return lines[0].strip() if lines else ""

    @property
    def source(self) -> str:
        """Its text as it was written.

        Raises:
            InvalidComponent: the text can't be had, as of a function made by ``exec``.
        """
        try:
            return inspect.getsource(self.fn)
        except (OSError, TypeError) as error:
            raise InvalidComponent(f"{self.name}: the source can't be read: {error}") from error


def names(*, with_plugins: bool = False) -> list[str]:
    """Names of components, sorted.

    Args:
        with_plugins: also those of entry points, as they are registered; nothing is imported either way.
    """
    return sorted({*BUILTINS, *(plugins.targets(plugins.COMPONENTS) if with_plugins else ())})


def list_components() -> list[tuple[str, str]]:
    """Every component that has a name, ours and the plugins', with the first line of its docstring.

    A plugin that can't be loaded is left out; `xrun.plugins.broken` has the reason.
    """
    found = dict(_plugin_components())
    found.update({name: find(name) for name in BUILTINS})
    return [(name, found[name].doc) for name in sorted(found)]


def find(name: str) -> Component:
    """The component of that name.

    Args:
        name: ``dist.ddp``, ``path/file.py:fn``, ``pkg.module:fn`` or a plugin's name.

    Raises:
        UnknownName: there is no such component, file, module or function; near misses are named.
        InvalidComponent: its file or module can't be imported; the line and the reason are named.
        UsageError: the name has no function where it needs one.
    """
    target = BUILTINS.get(name)
    if target is not None:
        module, _, function = target.partition(":")
        return Component(name, getattr(importlib.import_module(module), function))
    if ":" in name:
        return _find_at(name)
    found = _find_plugin(name)
    if found is None:
        hint = f"for a function in a file write {name}:FUNCTION" if name.endswith(".py") else _broken_hint(name)
        raise UnknownName("component", name, names(with_plugins=True), hint)
    return found


def is_file(place: str) -> bool:
    """Whether what stands before the colon of ``PLACE:FUNCTION`` is a file; else it is a module."""
    return place.endswith(".py") or "/" in place or os.path.isfile(place)


def _find_at(name: str) -> Component:
    from xrun.components import loading

    place, _, function = name.rpartition(":")
    if not place or not function:
        message = f"{name!r} is no component; write FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION"
        raise UsageError(message, code="XR071")
    module = loading.load_file(place) if is_file(place) else loading.load_module(place)
    found = getattr(module, function, None)
    if found is None:
        raise UnknownName("function", function, _functions(module), hint=f"looked in {place}")
    return Component(name, found)


def _find_plugin(name: str) -> Component | None:
    """A function that is an entry point, or a public one of a module that is an entry point."""
    registered = plugins.targets(plugins.COMPONENTS)
    if name in registered:
        found = plugins.load(plugins.COMPONENTS, name)
        if isinstance(found, ModuleType):
            known = [f"{name}.{function}" for function in _functions(found)]
            raise UnknownName("component", name, known, hint="the plugin is a module of components")
        return None if found is None else Component(name, found)
    prefix, dot, function = name.rpartition(".")
    if dot and prefix in registered:
        module = plugins.load(plugins.COMPONENTS, prefix)
        if isinstance(module, ModuleType):
            functions = _functions(module)
            if function not in functions:
                raise UnknownName("component", name, [f"{prefix}.{f}" for f in functions])
            return Component(name, functions[function])
    return None


def _plugin_components() -> list[tuple[str, Component]]:
    found = []
    for name in plugins.targets(plugins.COMPONENTS):
        plugin = plugins.load(plugins.COMPONENTS, name)
        if isinstance(plugin, ModuleType):
            found += [(f"{name}.{f}", Component(f"{name}.{f}", fn)) for f, fn in _functions(plugin).items()]
        elif plugin is not None:
            found.append((name, Component(name, plugin)))
    return found


def _broken_hint(name: str) -> str:
    return plugins.broken_hint(plugins.COMPONENTS, name) or plugins.broken_hint(
        plugins.COMPONENTS, name.rpartition(".")[0]
    )


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The public functions of a module that say they return an AppDef, those that its package re-exports included."""
    package = module.__name__.partition(".")[0]
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__.partition(".")[0] == package
        and _says_appdef(value.__annotations__.get("return"))
    }


def _says_appdef(annotation: Any) -> bool:
    return str(getattr(annotation, "__name__", annotation)).rpartition(".")[2] == "AppDef"
