"""Placeholders in a Role that are replaced when the value is known.

``${app_id} ${num_replicas} ${img_root}`` are replaced in args, env, metadata, mounts, image and entrypoint;
``${replica_id}`` and ``${rank0_env}`` (the *name* of the variable that holds replica 0's host) in args and env only,
so that a thousand replicas stay one template. ``$${app_id}`` is the literal text ``${app_id}``; every other byte, any
other ``$`` included, is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

img_root = "${img_root}"
app_id = "${app_id}"
num_replicas = "${num_replicas}"
replica_id = "${replica_id}"
rank0_env = "${rank0_env}"

RANK0_HOST = "XRUN_RANK0_HOST"
"""What ``${rank0_env}`` stands for: the name of an environment variable, the same on every backend."""

APP_LEVEL = ("app_id", "num_replicas", "img_root")
REPLICA_LEVEL = ("replica_id", "rank0_env")

_MACRO = re.compile(r"(\$?)\$\{(app_id|num_replicas|img_root|replica_id|rank0_env)\}")


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replaces the macros of ``values`` in one pass; what it inserts is never looked at again.

    Args:
        text: the user's text.
        values: macro name -> what stands there instead; a macro that is not among them is left alone.
    """
    if "${" not in text:
        return text
    return _MACRO.sub(lambda m: m[0][1:] if m[1] else values.get(m[2], m[0]), text)


def substitute_in(value: Any, values: Mapping[str, str]) -> Any:
    """`substitute` in every string of a nested list or dict; other values are returned as they are."""
    if isinstance(value, str):
        return substitute(value, values)
    if isinstance(value, dict):
        return {k: substitute_in(v, values) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(substitute_in(v, values) for v in value)
    return value


def split(text: str) -> list[tuple[str, str]]:
    """A text as parts, for a backend that has its own way to insert a value.

    Returns:
        ``("text", literal)`` and ``("macro", name)`` pairs in order; joining them gives what `substitute` gives.
    """
    parts: list[tuple[str, str]] = []
    end = 0
    for m in _MACRO.finditer(text):
        literal = text[end : m.start()] + (m[0][1:] if m[1] else "")
        if literal:
            parts.append(("text", literal))
        if not m[1]:
            parts.append(("macro", m[2]))
        end = m.end()
    if text[end:]:
        parts.append(("text", text[end:]))
    return parts


def used(text: str) -> set[str]:
    """Names of the macros in a text; escaped ones don't count."""
    if "${" not in text:
        return set()
    return {m[2] for m in _MACRO.finditer(text) if not m[1]}
