"""Which GPUs there are on this machine, for schedulers that share them out themselves."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from xrun.errors import BackendError


def visible_devices(option: int, env: Mapping[bytes, bytes]) -> list[str]:
    """The devices that jobs may be given.

    Args:
        option: a number of made-up devices, or -1 to count the real ones.
        env: the launcher's environment; its CUDA_VISIBLE_DEVICES limits the choice.

    Returns:
        Ids as CUDA_VISIBLE_DEVICES takes them.
    """
    if option >= 0:
        return [str(k) for k in range(option)]
    limit = env.get(b"CUDA_VISIBLE_DEVICES")
    if limit is not None:
        names = [name.strip() for name in limit.decode("utf-8", "replace").split(",")]
        # CUDA itself stops at the first name that can't be, such as -1
        return list(dict.fromkeys(itertools.takewhile(lambda name: name and not name.startswith("-"), names)))
    return _ask_nvidia_smi()


def _ask_nvidia_smi() -> list[str]:
    import subprocess

    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:
        return []
    except (OSError, subprocess.SubprocessError) as error:
        raise BackendError(
            f"nvidia-smi can't count the GPUs ({error}); say how many with -cfg gpus=N", code="XR101"
        ) from error
    return done.stdout.split()
