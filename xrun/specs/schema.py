"""Types as JSON Schema (draft 2020-12): what jobs, options, files and answers look like to other programs and editors.

Descriptions come from where a reader of the code finds them: ``Attributes:`` of a class's docstring, the help of an
option.
"""

from __future__ import annotations

import inspect
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

from xrun.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount
from xrun.specs.serialize import to_plain
from xrun.specs.values import is_scalar

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_MOUNT_TYPES: dict[Any, MountType] = {
    BindMount: MountType.BIND,
    VolumeMount: MountType.VOLUME,
    DeviceMount: MountType.DEVICE,
}


def schema_of(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a type.

    Args:
        hint: str, int, float, bool, Path, Any, an Enum, Literal, Optional, Union, list, tuple, dict, a dataclass, a
            TypedDict, ``Annotated[T, "description"]``, and nests of those.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return described(schema_of(args[0]), next((a for a in args[1:] if isinstance(a, str)), ""))
    if origin in (typing.NotRequired, typing.Required):
        return schema_of(args[0])
    if origin in (typing.Union, types.UnionType):
        return _union([schema_of(a) for a in args])
    if origin is typing.Literal:
        return {"enum": [to_plain(a) for a in args]}
    if origin in (list, tuple, dict) or hint in (list, tuple, dict):
        return _collection(origin or hint, args)
    if hint is Any:
        return {}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [to_plain(member) for member in hint]}
    if is_dataclass(hint) or typing.is_typeddict(hint):
        return object_schema(hint)
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    if is_scalar(hint):
        return {"type": "string"}
    raise TypeError(f"no JSON Schema for {hint!r}")


def object_schema(cls: Any) -> dict[str, Any]:
    """The schema of a dataclass or a TypedDict: no other keys than its own."""
    hints = typing.get_type_hints(cls, include_extras=True)
    texts = _texts(cls)
    properties = {name: described(schema_of(hint), texts.get(name, "")) for name, hint in hints.items()}
    kind = _MOUNT_TYPES.get(cls)
    if kind:
        properties = {"type": {"const": kind.value}, **properties}
    for name, default in _defaults(cls).items():
        properties[name] = {**properties[name], "default": to_plain(default)}
    required = ["type", *_required(cls, hints)] if kind else _required(cls, hints)
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": required} if required else found


def described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """A schema with a description, if there is one."""
    return {"description": text, **schema} if text else schema


def _collection(kind: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    if kind is dict:
        return {"type": "object", "additionalProperties": schema_of(args[1])} if args else {"type": "object"}
    if kind is tuple and args and args[-1] is not ...:
        count = len(args)
        return {"type": "array", "prefixItems": [schema_of(a) for a in args], "minItems": count, "maxItems": count}
    return {"type": "array", "items": schema_of(args[0])} if args else {"type": "array"}


def _union(choices: list[dict[str, Any]]) -> dict[str, Any]:
    if all(set(choice) == {"type"} for choice in choices):
        return {"type": [choice["type"] for choice in choices]}
    return {"anyOf": choices}


def _texts(cls: Any) -> dict[str, str]:
    """What is said about each field: the help of an option, else ``Attributes:`` of the docstring."""
    import docstring_parser

    doc = docstring_parser.parse(inspect.getdoc(cls) or "", docstring_parser.DocstringStyle.GOOGLE)
    texts = {p.arg_name: " ".join((p.description or "").split()) for p in doc.params}
    if is_dataclass(cls):
        texts.update({f.name: f.metadata["help"] for f in fields(cls) if "help" in f.metadata})
    return texts


def _defaults(cls: Any) -> dict[str, Any]:
    """The defaults worth telling: those that are neither empty nor objects."""
    if not is_dataclass(cls):
        return {}
    return {f.name: f.default for f in fields(cls) if f.default is not MISSING and f.default is not None}


def _required(cls: Any, hints: dict[str, Any]) -> list[str]:
    if is_dataclass(cls):
        return [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    # not __required_keys__: it overlooks NotRequired where annotations are texts
    marks = {name: typing.get_origin(hint) for name, hint in hints.items()}
    if cls.__total__:
        return [name for name, mark in marks.items() if mark is not typing.NotRequired]
    return [name for name, mark in marks.items() if mark is typing.Required]
