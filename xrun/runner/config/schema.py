"""The JSON Schema of ``xrun.toml``: what it takes, the reader takes. Editors complete and check the file by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xrun import plugins, schedulers
from xrun.components import finder
from xrun.errors import XrunError
from xrun.runner.config.tables import RunTable
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.resources import Resource
from xrun.specs.schema import DIALECT, described, object_schema, schema_of

ID = "urn:xrun:schema:config"

_VARIABLE = {"type": "string", "description": "The variable's name."}
_NO_REFERENCE = {
    "not": {"required": ["env"], "properties": {"env": _VARIABLE}, "propertyNames": {"enum": ["env", "default"]}}
}
"""A dict of that shape is taken for a reference to the environment, so as a dict it must not be written."""
_NO_PROFILE = {"not": {"const": DEFAULT_SESSION}, "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:@+=-]*$"}


def config_schema(*, with_plugins: bool = False) -> dict[str, Any]:
    """The schema of a whole file.

    Args:
        with_plugins: also what installed plugins bring; else it is the same on every machine.
    """
    run = _open(object_schema(RunTable))
    profile_run = {**run, "properties": {k: v for k, v in run["properties"].items() if k != "profile"}}
    common = {"schedulers": _schedulers(with_plugins), "components": _components(with_plugins)}
    resources = {"type": "object", "additionalProperties": _open(object_schema(Resource))}
    profile = _closed({"run": profile_run, **common})
    profiles = {"type": "object", "propertyNames": _NO_PROFILE, "additionalProperties": profile}
    properties = {"run": run, **common, "named_resources": resources, "profiles": profiles}
    head = {"$schema": DIALECT, "$id": ID, "title": "xrun.toml", "description": "Configuration of xrun."}
    return {**head, **_closed(properties)}


def _schedulers(with_plugins: bool) -> dict[str, Any]:
    names = schedulers.scheduler_names() if with_plugins else list(schedulers.BUILTIN)
    tables = {}
    for name in names:
        try:
            scheduler = schedulers.create_scheduler(name, DEFAULT_SESSION)
        except XrunError:
            continue  # a plugin that fails; doctor says so
        tables[name] = _closed({key: _option(runopt) for key, runopt in scheduler.run_opts()})
        scheduler.close()
    aliases = {alias: tables[own] for alias, own in schedulers.ALIASES.items() if own in tables}
    return described(_closed({**tables, **aliases}), "Options by scheduler.")


def _option(option: Any) -> dict[str, Any]:
    default = {} if option.default is None else {"default": option.default}
    return described({**_or_reference(schema_of(option.type_)), **default}, option.help)


def _components(with_plugins: bool) -> dict[str, Any]:
    tables = {name: _component(name) for name in finder.BUILTINS}
    others: dict[str, Any] = {":": {"type": "object"}}  # what is in a file only its run can tell
    for name in plugins.targets(plugins.COMPONENTS) if with_plugins else ():
        tables.setdefault(name, {"type": "object"})
    closed = {**_closed(tables), "patternProperties": others}
    return described(closed, "Defaults of components' options, by the name that is typed.")


def _component(name: str) -> dict[str, Any]:
    properties = {}
    for p in finder.find(name).parameters:
        kind = schema_of(list[p.hint] if p.variadic else p.hint)  # type: ignore[name-defined]
        properties[p.name] = described(_or_reference(kind), p.help)
    return _closed(properties)


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """A table's schema whose every entry may come from the environment."""
    properties = {name: _or_reference(entry) for name, entry in schema["properties"].items()}
    return {**schema, "properties": properties}


def _or_reference(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry's schema, and beside it ``{env = "NAME"}``, here and inside of lists and dicts."""
    outer: dict[str, Any] = {key: entry[key] for key in ("description", "default") if key in entry}
    inner = {key: value for key, value in entry.items() if key not in outer}
    if not inner:
        return outer
    inner = _inside(inner)
    default = {"description": "The value if the variable is not set.", **inner}
    reference = {"type": "object", "required": ["env"], **_closed({"env": _VARIABLE, "default": default})}
    return {**outer, "anyOf": [inner, reference]}


def _inside(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with references allowed in what it holds."""
    schema = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _or_reference(schema[key])
    if "anyOf" in schema:
        schema["anyOf"] = [_inside(choice) for choice in schema["anyOf"]]
    return {**schema, **_NO_REFERENCE} if schema.get("type") == "object" else schema
