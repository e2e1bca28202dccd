"""More of a pod than we model, merged in as ``kubectl patch`` does (a strategic merge patch).

Dicts are merged and null removes a key. Lists whose elements have names are merged by those names, as `MERGE_KEYS`
says; ``$patch: delete`` in an element removes it and ``$patch: replace`` puts the list or dict as it is. Other lists
replace what is there, but for the few that Kubernetes joins. The keys are those of the API's types (``patchMergeKey``
in k8s.io/api/core/v1).
"""

from __future__ import annotations

import copy
import json
from typing import Any

from xrun.errors import InvalidValue

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "ownerReferences": "uid",
}
"""List -> the field by which its elements are known."""

JOINED = frozenset({"finalizers"})
"""Lists of plain values that are joined."""

_PATCH = "$patch"
WRONG = "XR164"
"""Code of an overlay that can't be merged in."""


def merge(base: Any, patch: Any, key: str = "") -> Any:
    """What a patch makes of something; neither is changed.

    Args:
        base: what is there.
        patch: what is to be different.
        key: the field that both are of, which says how a list is merged.

    Raises:
        InvalidValue: the patch has another type than what is there, or a nameless element where names count.
    """
    if isinstance(patch, dict) and isinstance(base, dict | None):
        return _merge_dicts(base or {}, patch, key)
    if isinstance(patch, list) and isinstance(base, list | None):
        return _merge_lists(base or [], patch, key)
    if isinstance(base, dict | list) or (isinstance(patch, dict | list) and base is not None):
        wanted = "a mapping" if isinstance(base, dict) else "a list" if isinstance(base, list) else "a single value"
        raise InvalidValue(f"overlay: {key} is {wanted} in a pod", code=WRONG)
    return copy.deepcopy(patch)


def _merge_dicts(base: dict[str, Any], patch: dict[str, Any], key: str) -> dict[str, Any]:
    if patch.get(_PATCH) == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name != _PATCH}
    merged = dict(base)
    for name, value in patch.items():
        if not isinstance(name, str):
            raise InvalidValue(f"overlay: {name!r} in {key or 'it'} is no text; keys are", code=WRONG)
        if value is None:
            merged.pop(name, None)
        elif name == _PATCH:
            raise InvalidValue(f"overlay: {_PATCH}: {value} in {key or 'it'} is not understood here", code=WRONG)
        else:
            merged[name] = merge(merged.get(name), value, name)
    return merged


def _merge_lists(base: list[Any], patch: list[Any], key: str) -> list[Any]:
    if {_PATCH: "replace"} in patch:
        return [copy.deepcopy(value) for value in patch if value != {_PATCH: "replace"}]
    if key in JOINED:
        return base + [value for value in patch if value not in base]
    by = MERGE_KEYS.get(key)
    if by is None or not all(isinstance(value, dict) for value in (*base, *patch)):
        return copy.deepcopy(patch)
    merged = {value.get(by): value for value in base}
    for value in patch:
        name = value.get(by)
        if not isinstance(name, str | int):
            wrong = f"an element of {key} has {'no' if name is None else 'not one'} {by}, by which it would be known"
            raise InvalidValue(f"overlay: {wrong}", code=WRONG)
        if value.get(_PATCH) == "delete":
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value, key)
    return list(merged.values())


def load(given: Any, where: str) -> dict[str, Any]:
    """An overlay as a mapping.

    Args:
        given: the mapping, or the path or fsspec URL of a YAML or JSON file that holds it.
        where: what it is of, for messages.

    Raises:
        InvalidValue: it can't be read, or is no mapping.
    """
    if isinstance(given, str):
        from xrun.specs.serialize import yaml_to_plain
        from xrun.workspaces import read_text

        try:
            given, where = yaml_to_plain(read_text(given)), f"{where}, {given}"
        except OSError as error:
            reason = error.strerror or str(error)
            raise InvalidValue(f"overlay: {where}, {given}: can't be read: {reason}", code=WRONG) from error
        except InvalidValue as error:
            raise InvalidValue(f"overlay: {where}, {given}: {error}", code=WRONG) from error
    parts = given.values() if isinstance(given, dict) and set(given) <= {"metadata", "spec"} else [None]
    if not all(isinstance(part, dict) for part in parts):
        message = f"overlay: {where}: it must be a part of a pod: a mapping with spec, metadata or both, mappings too"
        raise InvalidValue(message, code=WRONG)
    try:
        json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:  # a date of YAML's, not a number, a part of itself
        reason = " ".join(str(error).split())
        raise InvalidValue(f"overlay: {where}: no JSON can hold it ({reason}); quote dates", code=WRONG) from error
    return dict(given)
