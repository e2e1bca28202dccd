"""TorchX's import path for the names of `xrun.specs`."""

from __future__ import annotations

from typing import Any

import xrun.specs

__all__ = xrun.specs.__all__


def __getattr__(name: str) -> Any:
    return getattr(xrun.specs, name)
