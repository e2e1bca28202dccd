"""xrun: a job is described once, in Python, and runs on a laptop, a cluster or a cloud.

Importing this package imports nothing else: the command line starts with it.
"""

from __future__ import annotations

__version__ = "0.1.0"

IMAGE = ""
"""Stands for the scheduler's configured image in a component's default."""

__all__ = ["IMAGE", "__version__"]
