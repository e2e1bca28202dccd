"""Ties it together: components become jobs, jobs go to schedulers, handles are answered for."""

from __future__ import annotations

from xrun.runner.runner import Runner, get_runner

__all__ = ["Runner", "get_runner"]
