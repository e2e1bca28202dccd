"""The files put together: what applies to a scheduler, a component, a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from xrun import schedulers
from xrun.errors import BackendError, InvalidConfig, InvalidValue, UnknownName, UsageError, shown, suggestion
from xrun.runner.config import files
from xrun.runner.config.files import ConfigFile
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.options import runopts
from xrun.specs.resources import Resource
from xrun.specs.workspace import Workspace

if TYPE_CHECKING:
    from xrun.components.finder import Component
    from xrun.components.signature import Parameter
    from xrun.runner.config.values import Entry

UNKNOWN, NO_PROFILE = "XR061", "XR064"
_RESOURCE_FIELDS = [f.name for f in fields(Resource)]


def load() -> Config:
    """The configuration that applies in the working directory.

    Raises:
        InvalidConfig: a file can't be read, is not TOML or holds a table that xrun doesn't know.
    """
    found = Config(tuple(files.find()))
    for problem in found.problems():
        raise problem
    return found


class Config:
    """What the files say, the nearer file first, and in each the profile before the rest.

    Args:
        files: the files that apply, the nearest first.
    """

    def __init__(self, files: tuple[ConfigFile, ...] = ()) -> None:
        self.files = files

    def run_default(self, name: str, session: str = DEFAULT_SESSION) -> str | None:
        """An entry of ``[run]`` (see `xrun.runner.config.tables.RunTable`); None if no file has it.

        Raises:
            InvalidConfig: it is not a text, or names a variable that is not set.
        """
        entry = self._entries(session, "run").get(name)
        return None if entry is None else _run_value(entry)

    def scheduler_options(self, scheduler: str, options: runopts, session: str = DEFAULT_SESSION) -> dict[str, Any]:
        """Values of a scheduler's options, of the right type.

        Args:
            scheduler: its name.
            options: what it has.
            session: the profile.

        Raises:
            InvalidConfig: it has no such option, or a value is wrong.
        """
        found: dict[str, Any] = {}
        for name in (scheduler, *(alias for alias, own in schedulers.ALIASES.items() if own == scheduler)):
            for key, entry in self._entries(session, "schedulers", name).items():
                found.setdefault(key, _option(entry, options))
        return found

    def component_defaults(self, component: Component, session: str = DEFAULT_SESSION) -> dict[str, Any]:
        """Values of a component's parameters, of the right type.

        Args:
            component: found by the name that stands in the file.
            session: the profile.

        Raises:
            InvalidConfig: it has no such parameter, or a value is wrong.
        """
        entries = self._component_entries(component.name, session)
        known = {p.name: p for p in component.parameters} if entries else {}
        return {_name(key): _argument(entry, known) for key, entry in entries.items()}

    def named_resources(self) -> dict[str, Resource]:
        """The named resources of all files.

        Raises:
            InvalidConfig: one has an unknown field or a wrong value.
        """
        return {name: self._resource(name) for name in self._names((), "named_resources")}

    @property
    def profiles(self) -> list[str]:
        """Names of the profiles of all files."""
        return sorted({name for file in self.files for name in _part(file.table, "profiles")})

    @property
    def scheduler_names(self) -> list[str]:
        """Names of the schedulers that any table is about, aliases resolved."""
        named = {name for at in self._levels() for file in self.files for name in _part(file.table, *at, "schedulers")}
        return sorted({schedulers.own_name(name) for name in named})

    def require_profile(self, name: str) -> None:
        """Does nothing if there is such a profile.

        Raises:
            InvalidConfig: there is none.
        """
        if name != DEFAULT_SESSION and name not in self.profiles:
            where = " or ".join(str(file.path) for file in self.files) or files.FILE
            known = suggestion(name, self.profiles)
            raise InvalidConfig(
                f"there is no profile {shown(name)}{known}; add [profiles.{name}] to {where}", NO_PROFILE
            )

    def problems(self) -> Iterator[InvalidConfig]:
        """What is wrong with the files' own tables."""
        if not self.files:
            return
        from xrun.runner.config import tables

        for file in self.files:
            yield from tables.problems(file)
        for session in (DEFAULT_SESSION, *self.profiles):
            for entry in self._entries(session, "run").values():
                if not entry.is_reference:  # a variable need not be set where the entry is not used
                    yield from _said(tables.check_run, entry)

    def check(self) -> list[InvalidConfig]:
        """Everything wrong with the files, what belongs to schedulers and components included, each once."""
        found = [*self.problems()] or [*self._deep_problems()]
        return list({str(problem): problem for problem in found}.values())

    def _deep_problems(self) -> Iterator[InvalidConfig]:
        for at in self._levels():
            session = at[1] if at else DEFAULT_SESSION
            for name in self._names(at, "schedulers"):
                options = _options_of(name)
                for entry in self._entries(session, "schedulers", name).values() if options else ():
                    yield from _said(_option, entry, options)
            for name in self._names(at, "components"):
                if ":" in name:
                    continue  # to look into a file is to run it
                known = {p.name: p for p in _parameters_of(name)}
                for entry in self._component_entries(name, session).values():
                    yield from _said(_argument, entry, known)
        for name in self._names((), "named_resources"):
            yield from _said(self._resource, name)

    def _levels(self) -> list[tuple[str, ...]]:
        """The keys that lead to the top and to each profile."""
        return [(), *(("profiles", name) for name in self.profiles)]

    def _names(self, at: tuple[str, ...], section: str) -> list[str]:
        return sorted({name for file in self.files for name in _part(file.table, *at, section)})

    def _entries(self, session: str, *at: str) -> dict[str, Entry]:
        """The entries of one table over all files: of two of one name, the profile's, then the nearer file's."""
        found: dict[str, Entry] = {}
        if not self.files:
            return found
        from xrun.runner.config.values import Entry

        for prefix in (("profiles", session), ()) if session != DEFAULT_SESSION else ((),):
            for file in self.files:
                for key, value in _part(file.table, *prefix, *at).items():
                    found.setdefault(key, Entry(value, file, (*prefix, *at, key)))
        return found

    def _component_entries(self, name: str, session: str) -> dict[str, Entry]:
        """The entries for a component; a file may be named from where the configuration is or from where we are."""
        found = self._entries(session, "components", name)
        if ":" not in name or not self.files:
            return found
        place, _, function = name.rpartition(":")
        for at in [("profiles", session), ()]:
            for file in self.files:
                for other in _part(file.table, *at, "components"):
                    path, _, own = other.rpartition(":")
                    if other != name and own == function and _same_file(os.path.join(file.path.parent, path), place):
                        for key, entry in self._entries(session, "components", other).items():
                            found.setdefault(key, entry)
        return found

    def _resource(self, name: str) -> Resource:
        """The resource of one name: a whole, so all of it is taken from the nearest file that has it."""
        from xrun.runner.config.values import Entry
        from xrun.specs.serialize import from_plain

        file = next(file for file in self.files if name in _part(file.table, "named_resources"))
        at, values = ("named_resources", name), {}
        for key, raw in _part(file.table, *at).items():
            entry = Entry(raw, file, (*at, key))
            if key not in _RESOURCE_FIELDS:
                raise entry.error(
                    f"{'.'.join(at)} has no field {shown(key)}{suggestion(key, _RESOURCE_FIELDS)}", UNKNOWN
                )
            values[key] = entry.resolved()
            one = {key: values[key]}
            entry.check(lambda one=one: from_plain(Resource, one, ".".join(at)))  # type: ignore[misc]
        return from_plain(Resource, values, ".".join(at))


def _run_value(entry: Entry) -> str:
    """A value of [run]; folders and files in a project's file are meant from where that file is."""
    name, text = entry.at[-1], str(entry.read(str))
    if entry.file.path == files.user_file():
        return text
    folder = os.path.relpath(entry.file.path.parent)
    if name == "component" and ":" in text:
        place, _, function = text.rpartition(":")
        is_file = place.endswith(".py") or "/" in place
        return f"{os.path.normpath(os.path.join(folder, place))}:{function}" if is_file else text
    if name == "workspace" and text:
        projects: dict[str, str] = entry.check(lambda: Workspace.from_str(text)).projects
        moved = {_below(folder, src): dst for src, dst in projects.items()}
        return ",".join(f"{dst}={src}" if dst else src for src, dst in moved.items())
    return text


def _below(folder: str, source: str) -> str:
    return source if "://" in source else os.path.normpath(os.path.join(folder, source))


def _option(entry: Entry, options: runopts) -> Any:
    name = entry.at[-1]
    option = options.get(name)
    if option is None:
        known = [known for known, _ in options]
        raise entry.error(f"{entry.at[-2]} has no option {shown(name)}{suggestion(name, known)}", UNKNOWN)
    value = entry.read(option.type_)
    entry.check(lambda: options.check({name: value}))
    return value


def _argument(entry: Entry, known: Mapping[str, Parameter]) -> Any:
    name = _name(entry.at[-1])
    if name not in known:
        raise entry.error(f"{entry.at[-2]} has no option {shown(entry.at[-1])}{suggestion(name, known)}", UNKNOWN)
    parameter = known[name]
    return entry.read(list[parameter.hint] if parameter.variadic else parameter.hint)  # type: ignore[name-defined]


def _part(table: Any, *at: str) -> Mapping[str, Any]:
    """The table that some keys lead to; empty if there is none."""
    for key in at:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}


def _name(key: str) -> str:
    return key.replace("-", "_")


def _parameters_of(component: str) -> list[Parameter]:
    from xrun.components import finder

    try:
        return finder.find(component).parameters
    except UsageError:
        return []  # a plugin that fails


def _same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _said(read: Callable[..., Any], *args: Any) -> Iterator[InvalidConfig]:
    """What a reader complains of."""
    try:
        read(*args)
    except InvalidConfig as error:
        yield error


def _options_of(scheduler: str) -> runopts | None:
    try:
        return schedulers.create_scheduler(scheduler, DEFAULT_SESSION).run_opts()
    except (BackendError, UnknownName, InvalidValue):
        return None  # a plugin that fails; doctor says so
