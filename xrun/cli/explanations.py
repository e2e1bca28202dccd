"""What is known of each error code, read from ``explanations.toml``; the docs' page of errors is made from the same."""

from __future__ import annotations

import os
from typing import Any, Literal, NamedTuple

FILE = os.path.join(os.path.dirname(__file__), "explanations.toml")

GROUPS = (
    (1, 30, "What a job may hold"),
    (31, 39, "Components and what they are given"),
    (40, 49, "What a scheduler can do"),
    (50, 59, "What must be there when a job is submitted"),
    (60, 69, "Configuration files"),
    (70, 79, "Words of the command line"),
    (80, 89, "Jobs, waits and answers"),
    (90, 99, "Schedulers and the systems behind them"),
    (100, 109, "The schedulers local and memory"),
    (120, 139, "The scheduler docker"),
    (140, 159, "The scheduler slurm"),
    (160, 189, "The scheduler kubernetes"),
)
"""(first number, last number, what they are about)."""


class Explanation(NamedTuple):
    """One code; see `xrun.cli.answers.ExplanationAnswer` for what each field holds.

    ``reason`` says why nothing provokes a code whose example is only a message; it is for those who keep the file.
    """

    code: str
    title: str
    exit: int
    cause: str
    kind: Literal["python", "shell", "message"]
    example: str
    fix: str
    says: str = ""
    mended: str = ""
    lacks: str = ""
    reason: str = ""


def load() -> dict[str, Explanation]:
    """Every code, in the order of their numbers."""
    import tomllib

    with open(FILE, "rb") as file:
        entries = tomllib.load(file)
    return {code: Explanation(code, **_trimmed(entry)) for code, entry in sorted(entries.items())}


def _trimmed(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value.strip("\n") if isinstance(value, str) else value for key, value in entry.items()}
