"""What may stand in a file: its tables, and the names of what they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from xrun import plugins, schedulers
from xrun.components.finder import BUILTINS
from xrun.errors import InvalidConfig, shown, suggestion
from xrun.runner.config.files import ConfigFile
from xrun.specs.handle import DEFAULT_SESSION, is_session

if TYPE_CHECKING:
    from xrun.runner.config.values import Entry

UNKNOWN, WRONG_TYPE = "XR061", "XR062"


class RunTable(TypedDict, total=False):
    """What ``xrun run`` and its like do unless told otherwise.

    Attributes:
        component: the component of ``xrun run`` without one.
        scheduler: where jobs run.
        workspace: local code that travels with jobs that name none; "" for none.
        profile: the profile used; not inside a profile.
    """

    component: str
    scheduler: str
    workspace: str
    profile: str


RUN = tuple(RunTable.__annotations__)
PROFILE = ("run", "schedulers", "components")
TOP = (*PROFILE, "named_resources", "profiles")


def problems(file: ConfigFile) -> Iterator[InvalidConfig]:
    """Everything wrong with a file but for what a scheduler or a component must judge."""
    yield from _unknown(file, (), file.table, TOP, "table")
    yield from _common(file, (), file.table)
    for name, profile in _tables(file.table, "profiles"):
        at = ("profiles", name)
        if name == DEFAULT_SESSION:
            yield file.error(at, f"the profile {name} is what stands outside of profiles; put it there", UNKNOWN)
        elif not is_session(name):
            message = f"{shown(name)} can't be a profile's name: letters and digits, and then also any of _.:@+=-"
            yield file.error(at, message, UNKNOWN)
        yield from _unknown(file, at, profile, PROFILE, "table")
        yield from _common(file, at, profile)
        if isinstance(profile.get("run"), dict) and "profile" in profile["run"]:
            yield file.error((*at, "run", "profile"), "a profile can't name another", UNKNOWN)
    for section in ("profiles", "named_resources"):
        yield from _not_tables(file, (), file.table, section)


def check_run(entry: Entry) -> None:
    """Whether an entry of ``[run]`` can be right.

    Raises:
        InvalidConfig: it is no text, or names a scheduler that there is not.
    """
    text = entry.read(str)
    if entry.at[-1] == "scheduler" and text and not _is_scheduler(text):
        names = [*schedulers.scheduler_names(), *schedulers.ALIASES]
        raise entry.error(f"unknown scheduler {shown(text)}{suggestion(text, names)}", UNKNOWN)


def _common(file: ConfigFile, at: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[InvalidConfig]:
    """What stands at the top and in each profile."""
    run = table.get("run", {})
    if not isinstance(run, dict):
        yield file.error((*at, "run"), "run must be a table, as in [run]", WRONG_TYPE)
    else:
        yield from _unknown(file, (*at, "run"), run, RUN, "entry")
    for section, known in (("schedulers", _is_scheduler), ("components", _may_be_component)):
        yield from _not_tables(file, at, table, section)
        for name, entry in _tables(table, section):
            if section == "components" and (
                inner := next((f"{name}.{k}" for k in entry if f"{name}.{k}" in BUILTINS), "")
            ):
                yield file.error(
                    (*at, section, name), f'the dots of a name need quotes: [components."{inner}"]', UNKNOWN
                )
            elif not known(name):
                names = [*schedulers.scheduler_names(), *schedulers.ALIASES] if section == "schedulers" else BUILTINS
                hint = "" if suggestion(name, names) else "; is its plugin installed?"
                message = f"unknown {section[:-1]} {shown(name)}{suggestion(name, names)}{hint}"
                yield file.error((*at, section, name), message, UNKNOWN)


def _tables(table: Mapping[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    entries = table.get(section)
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict):
            yield name, entry


def _not_tables(
    file: ConfigFile, at: tuple[str, ...], table: Mapping[str, Any], section: str
) -> Iterator[InvalidConfig]:
    entries = table.get(section, {})
    if not isinstance(entries, dict):
        yield file.error((*at, section), f"{section} must hold tables, as in [{section}.NAME]", WRONG_TYPE)
        return
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            message = f"{section}.{name} is {shown(entry)}, it must be a table"
            yield file.error((*at, section, name), message, WRONG_TYPE)


def _unknown(
    file: ConfigFile, at: tuple[str, ...], table: Mapping[str, Any], known: Collection[str], kind: str
) -> Iterator[InvalidConfig]:
    for key in table:
        if key not in known:
            place = f" in [{'.'.join(at)}]" if at else ""
            yield file.error((*at, key), f"unknown {kind} {shown(key)}{place}{suggestion(key, known)}", UNKNOWN)


def _is_scheduler(name: str) -> bool:
    return name in schedulers.BUILTIN or name in schedulers.ALIASES or name in schedulers.scheduler_names()


def _may_be_component(name: str) -> bool:
    """A place in a file or module is looked at when it is used; importing it here would run it."""
    if name in BUILTINS or ":" in name:
        return True
    registered = plugins.targets(plugins.COMPONENTS)
    return name in registered or name.rpartition(".")[0] in registered
