"""The files of ``xrun/schemas``: jobs and answers as JSON Schema, for programs in other languages and for editors.

The files are made from the types and shipped; a test holds them to each other.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import xrun
from xrun.cli.answers import ANSWERS
from xrun.runner.config.schema import config_schema
from xrun.runner.job import Job
from xrun.specs.app import AppDef
from xrun.specs.schema import DIALECT, schema_of

Builder = Callable[[], dict[str, Any]]


def _of(cls: Any, title: str) -> dict[str, Any]:
    """The schema of a class, described by the first paragraph of its docstring."""
    text = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
    return {"title": title, "description": text, **schema_of(cls)}


def _answer(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = _open(_of(ANSWERS[name], f"An answer of xrun: {name}"))
    return schema


def _open(schema: Any) -> Any:
    """The same schema, which lets keys pass that it doesn't know.

    Who holds answers to a copy of it keeps working when they get new ones. What xrun reads stays closed, so that a
    mistyped key is found.
    """
    if isinstance(schema, list):
        return [_open(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _open(inner) for key, inner in schema.items() if (key, inner) != ("additionalProperties", False)}


SCHEMAS: dict[str, Builder] = {
    "app": partial(_of, AppDef, "A job of xrun"),
    "config": config_schema,
    "job": partial(_of, Job, "What xrun run --stdin reads"),
    **{name: partial(_answer, name) for name in ANSWERS},
}
"""Name of a file -> what makes its schema, with ``title`` and ``description``."""


def document(name: str) -> dict[str, Any]:
    """What stands in one file.

    Args:
        name: a key of `SCHEMAS`.
    """
    schema = SCHEMAS[name]()
    version = schema.get("properties", {}).get("version", {}).get("enum", [])
    urn = ":".join(["urn:xrun:schema", name, *map(str, version)])
    return {"$schema": DIALECT, "$id": urn, **schema}


def text(name: str) -> str:
    """`document` as it is written."""
    return json.dumps(document(name), indent=2, ensure_ascii=False) + "\n"


def folder() -> Path:
    """Where the files are installed."""
    return Path(xrun.__file__).parent / "schemas"
