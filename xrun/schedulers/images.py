"""What schedulers of containers ask of a role: an image, and that its script gets there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from xrun.specs.problems import Problem
from xrun.specs.role import SCRIPT, Role


def problems(
    roles: Sequence[Role], default: str, scheduler: str, *, no_image: str, no_script: str
) -> Iterator[Problem]:
    """Roles without an image, or that name a script that no workspace carries.

    Args:
        roles: the app's.
        default: the image of roles that name none.
        scheduler: who asks.
        no_image: code of the first.
        no_script: code of the second.
    """
    for i, role in enumerate(roles):
        if not (role.image or default):
            fix = f'give --image IMAGE, -cfg image=IMAGE, or in xrun.toml [schedulers.{scheduler}] image = "IMAGE"'
            yield Problem(no_image, f"roles[{i}].image", f"{scheduler} needs an image", fix)
    for i, role in enumerate(roles):
        script = role.metadata.get(SCRIPT)
        if isinstance(script, str) and not script.startswith("/") and not role.workspace:
            message = f"{script} is a file here, and the container has none of that"
            yield Problem(no_script, f"roles[{i}].args", message, "give --workspace ., or its path in the image")


def missing_scripts(roles: Sequence[Role]) -> Iterator[Problem]:
    """Roles whose script no folder of their workspace has; what is fetched from elsewhere isn't looked at."""
    from xrun.workspaces import local_folder  # a dry run has no use for it

    for i, role in enumerate(roles):
        script = role.metadata.get(SCRIPT)
        if not isinstance(script, str) or script.startswith("/") or not role.workspace:
            continue
        folders = [(local_folder(source), place) for source, place in role.workspace.projects.items()]
        if all(folder and not _has(folder, place, script) for folder, place in folders):
            message = f"there is no file {script} in the workspace"
            yield Problem("XR051", f"roles[{i}].args", message, "give its path from the workspace's top folder")


def _has(folder: str, place: str, script: str) -> bool:
    path = os.path.relpath(script, place or ".")
    return not path.startswith("../") and os.path.isfile(os.path.join(folder, path))
