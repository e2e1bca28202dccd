"""Functions that make jobs: the built-in ones, how any function becomes one, and how a name leads to it.

Nothing here knows a scheduler. Names are loaded on first use; TorchX's `components.dist`, `components.utils` and
`components.structured_arg` are modules of this package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrun.components.finder import Component, find, list_components, names
    from xrun.components.help import format_help
    from xrun.components.signature import Parameter, bind, check, parameters

_HOME_OF = {
    "Component": "finder",
    "Parameter": "signature",
    "bind": "signature",
    "check": "signature",
    "find": "finder",
    "format_help": "help",
    "list_components": "finder",
    "names": "finder",
    "parameters": "signature",
}

__all__ = [
    "Component",
    "Parameter",
    "bind",
    "check",
    "find",
    "format_help",
    "list_components",
    "names",
    "parameters",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"xrun.components.{home}"), name)
    globals()[name] = value
    return value
