"""TorchX's import path for the runner."""

from __future__ import annotations

from xrun.runner.runner import Runner, get_runner

__all__ = ["Runner", "get_runner"]
