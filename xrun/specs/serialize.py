"""AppDef to plain data and back: dicts, JSON, YAML; a stable order, unknown fields refused by name."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

from xrun.errors import InvalidValue, shown, suggestion
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount

T = TypeVar("T")

_MOUNT_TYPES: dict[type, MountType] = {
    BindMount: MountType.BIND,
    VolumeMount: MountType.VOLUME,
    DeviceMount: MountType.DEVICE,
}
_MOUNT_CLASSES = {kind.value: cls for cls, kind in _MOUNT_TYPES.items()}
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|[yYnN]")
_SCALARS = frozenset({str, int, float, bool, type(None)})


def to_dict(app: AppDef) -> dict[str, Any]:
    """An AppDef as plain dicts, lists, strings and numbers, fields in the order of their definition."""
    plain: dict[str, Any] = to_plain(app)
    return plain


def from_dict(data: Mapping[str, Any]) -> AppDef:
    """The AppDef that `to_dict` gave.

    Raises:
        InvalidValue: an unknown field, a missing one, or a value of the wrong type, named by its path.
    """
    return from_plain(AppDef, data, "app")


def to_json(app: AppDef) -> str:
    """An AppDef as indented JSON."""
    import json

    return json.dumps(to_dict(app), indent=2, ensure_ascii=False)


def from_json(text: str) -> AppDef:
    """The AppDef in a JSON text.

    Raises:
        InvalidValue: not JSON, or not an AppDef.
    """
    import json

    try:
        return from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"not JSON: {error}", code="XR038") from error


def to_yaml(app: AppDef) -> str:
    """An AppDef as YAML."""
    return plain_to_yaml(to_dict(app))


def plain_to_yaml(plain: Any, width: int = 80) -> str:
    """Plain data, as `to_plain` gives it, as YAML; lines of texts are broken from the width on."""
    import yaml

    return str(yaml.dump(plain, sort_keys=False, allow_unicode=True, width=width, Dumper=_dumper()))


def from_yaml(text: str) -> AppDef:
    """The AppDef in a YAML text.

    Raises:
        InvalidValue: not YAML, or not an AppDef.
    """
    return from_dict(yaml_to_plain(text))


def yaml_to_plain(text: str) -> Any:
    """What a YAML text, or a JSON one, holds.

    Raises:
        InvalidValue: not YAML.
    """
    import yaml

    try:
        return yaml.load(text, Loader=_c_or_python("SafeLoader"))  # noqa: S506 - a safe loader either way
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date like 2024-13-45 is a ValueError
        raise InvalidValue(f"not YAML: {' '.join(str(error).split())}", code="XR038") from error


def to_plain(value: Any) -> Any:
    """Any spec object as plain data; a mount gets a ``type`` key."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(to_plain, value), key=repr)  # their own order differs from process to process
    for scalar in (str, int, float):
        if isinstance(value, scalar):  # numpy's float64 is one; YAML and marshal take exact types only
            return scalar(value)
    cls: Any = type(value)
    names = _field_names(cls)
    if names is None:
        return str(value)
    plain = {name: to_plain(getattr(value, name)) for name in names}
    kind = _MOUNT_TYPES.get(cls)
    return {"type": kind.value, **plain} if kind else plain


def from_plain(cls: type[T], data: Any, path: str) -> T:
    """One dataclass of specs from plain data.

    Args:
        cls: the dataclass.
        data: what should be a mapping of its fields.
        path: where it stands, for messages.

    Raises:
        InvalidValue: an unknown field, a missing one, or a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise InvalidValue(f"{path} is {_article(data)}, it must be a mapping of {cls.__name__}'s fields", code="XR038")
    hashable: Any = cls  # a class is; mypy does not see it
    hints = _hints(hashable)
    for key in data:
        if key not in hints:
            near = suggestion(key, hints) if isinstance(key, str) else ""
            raise InvalidValue(f"{path} has an unknown field {shown(key)}{near}", code="XR038")
    required = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    missing = [name for name in required if name not in data]
    if missing:
        raise InvalidValue(f"{path} lacks {', '.join(missing)}", code="XR038")
    return cls(**{key: _convert(hints[key], value, f"{path}.{key}") for key, value in data.items()})


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Paths at which two plain values differ, as in ``roles[0].env.A``."""
    return [where for where, _, _ in changes(old, new, path)]


def changes(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two plain values differ: path, old value, new value; None where there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(k for k in new if k not in old)]
        return [c for k in keys for c in changes(old.get(k), new.get(k), f"{path}.{k}" if path else str(k))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [c for i, (a, b) in enumerate(zip(old, new, strict=True)) for c in changes(a, b, f"{path}[{i}]")]
    return [] if old == new else [(path, old, new)]


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(hint, value, path)
    if origin is list:
        if not isinstance(value, list):
            raise InvalidValue(f"{path} is {_article(value)}, it must be a list", code="XR038")
        return [_convert(typing.get_args(hint)[0], v, f"{path}[{i}]") for i, v in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{path} is {_article(value)}, it must be a mapping", code="XR038")
        return {_key(k, path): _convert(typing.get_args(hint)[1], v, f"{path}.{k}") for k, v in value.items()}
    if origin is typing.Literal:
        if value not in typing.get_args(hint) or isinstance(value, bool):
            allowed = " or ".join(map(repr, typing.get_args(hint)))
            raise InvalidValue(f"{path} is {shown(value)}, it must be {allowed}", code="XR038")
        return value
    if is_dataclass(hint):
        return from_plain(typing.cast("type", hint), value, path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(hint, value, path)
    accepted: Any = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise InvalidValue(f"{path} is {_article(value)} ({shown(value)}), it must be {_article(hint())}", code="XR038")
    return value


def _convert_union(hint: Any, value: Any, path: str) -> Any:
    options = [a for a in typing.get_args(hint) if a is not type(None)]
    if value is None and len(options) < len(typing.get_args(hint)):
        return None
    if all(a in _MOUNT_TYPES for a in options):
        if not isinstance(value, Mapping):
            raise InvalidValue(f"{path} is {_article(value)}, it must be a mapping of a mount's fields", code="XR038")
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in _MOUNT_CLASSES:
            raise InvalidValue(
                f"{path}.type is {shown(kind)}, it must be one of {', '.join(_MOUNT_CLASSES)}", code="XR038"
            )
        return from_plain(_MOUNT_CLASSES[kind], {k: v for k, v in value.items() if k != "type"}, path)
    return _convert(options[0], value, path)


def _convert_enum(hint: type[Enum], value: Any, path: str) -> Enum:
    try:
        return hint(value)
    except ValueError:
        names = [str(e.value) for e in hint]
        raise InvalidValue(f"{path} is {shown(value)}{suggestion(shown(value), names)}", code="XR038") from None


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidValue(f"{path} has the key {shown(key)}, {_article(key)}; keys must be strings", code="XR038")
    return key


_ARTICLES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "a bool",
    list: "a list",
    dict: "a mapping",
}


def _article(value: Any) -> str:
    return "null" if value is None else _ARTICLES.get(type(value), f"a {type(value).__name__}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


@cache
def _field_names(cls: type) -> tuple[str, ...] | None:
    return tuple(f.name for f in fields(cls)) if is_dataclass(cls) else None


@cache
def _dumper() -> Any:
    """PyYAML's safe one, and quotes around what only other readers, as kubectl, take for a number or a bool."""
    import yaml

    class Dumper(_c_or_python("SafeDumper")):  # type: ignore[misc]
        pass

    def represent(dumper: Any, text: str) -> Any:
        style = "'" if _NUMBER.fullmatch(text) else None
        return dumper.represent_scalar(yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG, text, style=style)

    Dumper.add_representer(str, represent)
    return Dumper


def _c_or_python(name: str) -> Any:
    import yaml

    return getattr(yaml, f"C{name}", getattr(yaml, name))
