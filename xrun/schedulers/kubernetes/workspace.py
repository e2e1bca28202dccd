"""Local code on its way to pods: a ConfigMap that is named by its content, so that many apps share one."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from typing import Any

from xrun.errors import InvalidJob
from xrun.schedulers.home import home
from xrun.schedulers.kubernetes import labels
from xrun.specs.problems import Problem
from xrun.specs.role import Role

LIMIT = 900 * 1024
"""Bytes of a compressed workspace: a ConfigMap takes 1 MiB."""

PREFIX = "xrun-workspace-"
"""Begins the names of ConfigMaps that hold workspaces."""

_TOO_BIG = "XR163"


def pack(
    roles: Sequence[Role], namespace: str, notice: Callable[[str], None] = lambda _: None
) -> tuple[dict[int, str], list[dict[str, Any]]]:
    """The ConfigMaps of all roles' workspaces.

    Args:
        roles: the app's.
        namespace: where they go; empty for the session's.
        notice: takes lines about what may surprise.

    Returns:
        Role -> name of its ConfigMap, and the ConfigMaps.

    Raises:
        InvalidJob: a workspace isn't there, can't be read or is too big.
    """
    code: dict[int, str] = {}
    made: dict[str, dict[str, Any]] = {}
    packed: dict[tuple[tuple[str, str], ...], str] = {}
    for r, role in enumerate(roles):
        if not role.workspace:
            continue
        key = tuple(role.workspace.projects.items())
        if key not in packed:
            config = _config_map(r, role, namespace, notice)
            packed[key] = config["metadata"]["name"]
            made[packed[key]] = config
        code[r] = packed[key]
    return code, list(made.values())


def _config_map(r: int, role: Role, namespace: str, notice: Callable[[str], None]) -> dict[str, Any]:
    from xrun.workspaces import archive

    assert role.workspace is not None  # noqa: S101 - the caller looked
    packed = archive(role.workspace, LIMIT, cache=os.path.join(home(), "workspaces"), notice=notice)
    if not packed.data:
        message = f"more than {LIMIT // 1024} KiB when compressed, which is all that travels without a registry"
        fix = (
            "leave data out with .xrunignore; or put the code into an image, which -s docker -cfg image_repo=REPO "
            "makes and pushes; or mount a PersistentVolumeClaim that has it: type=volume,src=CLAIM,dst=/workspace"
        )
        raise InvalidJob([Problem(_TOO_BIG, f"roles[{r}].workspace", message, fix)], "workspace")
    short = packed.content[:16]
    meta: dict[str, Any] = {"name": f"{PREFIX}{short}", "labels": {labels.WORKSPACE: short}}
    if namespace:
        meta["namespace"] = namespace
    data = {"tar.gz": base64.b64encode(packed.data).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True, "binaryData": data}
