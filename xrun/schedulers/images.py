"""What schedulers of containers ask of a role: an image, and that its script is in it."""

from __future__ import annotations

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
