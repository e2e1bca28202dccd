"""Which GPUs an app gets. The engine keeps who has which, in labels, for all who submit to it.

Nobody waits for a lock, since those who submit may be on different machines: each makes containers that name what it
wants, then looks whether another one wants the same. Of two who do, the one that looks last sees the other, and gives
up what it made and chooses again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xrun.errors import BackendError
from xrun.schedulers.docker import labels, states
from xrun.schedulers.docker.labels import Found
from xrun.specs.app import AppDef
from xrun.specs.states import is_terminal

Key = tuple[int, int]

BUSY, NO_RUNTIME_CODE = "XR128", "XR130"
NO_RUNTIME = (
    "the engine can't pass GPUs on, since it has no runtime named nvidia; install the NVIDIA container toolkit, "
    "or give -cfg gpus=N to have numbers only"
)
_TOO_FEW = "XR127"


def needed(app: AppDef) -> int:
    """How many an app asks for."""
    return sum(role.num_replicas * max(role.resource.gpu, 0) for role in app.roles)


def held(found: Iterable[Found]) -> dict[str, str]:
    """Device -> the app that has it, for all that have not ended."""
    holders: dict[str, str] = {}
    for app in found:
        options = states.options_of(app)
        made = states.app_of(app)
        supervised = states.is_supervised(made.roles if made else [], options) or len(app.containers) > 1
        if app.containers and not is_terminal(states.app_state(app, supervised)):
            for c in app.containers:
                named = c.labels.get(labels.APP_GPUS) or c.labels.get(labels.GPUS, "")
                holders |= {device: app.app_id for device in named.split(",") if device}
    return holders


def choose(app: AppDef, devices: Sequence[str], taken: Mapping[str, str]) -> dict[Key, list[str]]:
    """The devices of each replica that asks for any; no device twice.

    Args:
        app: the job.
        devices: all there are.
        taken: device -> the app that has it.

    Raises:
        BackendError: there are too few, or too few are free.
    """
    count = needed(app)
    if count > len(devices):
        message = f"the job asks for {count} GPUs and there are {len(devices)}; ask for fewer, "
        raise BackendError(message + "or say how many the engine has with -cfg gpus=N", code=_TOO_FEW)
    free = [device for device in devices if device not in taken]
    if count > len(free):
        holders = ", ".join(sorted({taken[device] for device in devices if device in taken}))
        message = f"the job asks for {count} GPUs and {len(free)} of {len(devices)} are free; {holders} hold the others"
        raise BackendError(f"{message}: submit again when one has ended", code=BUSY)
    chosen, left = {}, iter(free)
    for r, role in enumerate(app.roles):
        if role.resource.gpu > 0:
            for k in range(role.num_replicas):
                chosen[r, k] = [next(left) for _ in range(role.resource.gpu)]
    return chosen
