"""WHAT to run: inert data and the rules about it. No I/O, nothing of a scheduler, nothing that runs when it is read.

Names are loaded on first use, so that a command pays only for what it touches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrun.specs import macros
    from xrun.specs.app import AppDef, clone
    from xrun.specs.dryrun import AppDryRunInfo
    from xrun.specs.handle import (
        AppHandle,
        LogTarget,
        ParsedAppHandle,
        make_app_handle,
        parse_app_handle,
        parse_log_target,
    )
    from xrun.specs.identity import make_app_id, new_request_id, rendezvous_port, spec_hash
    from xrun.specs.mounts import BindMount, DeviceMount, MountType, VolumeMount, parse_mounts
    from xrun.specs.named import get_named_resource, get_named_resources, named_resources
    from xrun.specs.options import CfgVal, CommonOptions, option, runopt, runopts
    from xrun.specs.problems import Problem, Severity
    from xrun.specs.resources import Resource, resource
    from xrun.specs.role import SCRIPT, RetryPolicy, Role
    from xrun.specs.serialize import from_dict, from_json, from_yaml, to_dict, to_json, to_yaml
    from xrun.specs.states import AppState, ReplicaState, is_started, is_terminal
    from xrun.specs.status import NONE, AppStatus, ReplicaStatus, RoleStatus
    from xrun.specs.validation import validate
    from xrun.specs.workspace import Workspace

_HOMES = {
    "app": ("AppDef", "clone"),
    "dryrun": ("AppDryRunInfo",),
    "handle": (
        "AppHandle",
        "LogTarget",
        "ParsedAppHandle",
        "make_app_handle",
        "parse_app_handle",
        "parse_log_target",
    ),
    "identity": ("make_app_id", "new_request_id", "rendezvous_port", "spec_hash"),
    "mounts": ("BindMount", "DeviceMount", "MountType", "VolumeMount", "parse_mounts"),
    "named": ("get_named_resource", "get_named_resources", "named_resources"),
    "options": ("CfgVal", "CommonOptions", "option", "runopt", "runopts"),
    "problems": ("Problem", "Severity"),
    "resources": ("Resource", "resource"),
    "role": ("SCRIPT", "RetryPolicy", "Role"),
    "serialize": ("from_dict", "from_json", "from_yaml", "to_dict", "to_json", "to_yaml"),
    "states": ("AppState", "ReplicaState", "is_started", "is_terminal"),
    "status": ("NONE", "AppStatus", "ReplicaStatus", "RoleStatus"),
    "validation": ("validate",),
    "workspace": ("Workspace",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "NONE",
    "SCRIPT",
    "AppDef",
    "AppDryRunInfo",
    "AppHandle",
    "AppState",
    "AppStatus",
    "BindMount",
    "CfgVal",
    "CommonOptions",
    "DeviceMount",
    "LogTarget",
    "MountType",
    "ParsedAppHandle",
    "Problem",
    "ReplicaState",
    "ReplicaStatus",
    "Resource",
    "RetryPolicy",
    "Role",
    "RoleStatus",
    "Severity",
    "VolumeMount",
    "Workspace",
    "clone",
    "from_dict",
    "from_json",
    "from_yaml",
    "get_named_resource",
    "get_named_resources",
    "is_started",
    "is_terminal",
    "macros",
    "make_app_handle",
    "make_app_id",
    "named_resources",
    "new_request_id",
    "option",
    "parse_app_handle",
    "parse_log_target",
    "parse_mounts",
    "rendezvous_port",
    "resource",
    "runopt",
    "runopts",
    "spec_hash",
    "to_dict",
    "to_json",
    "to_yaml",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name == "macros":
        return import_module("xrun.specs.macros")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"xrun.specs.{home}"), name)
    globals()[name] = value
    return value
