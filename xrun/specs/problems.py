"""What is wrong with a job, as data."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Severity(str, Enum):
    """ERROR refuses the job; WARNING is said and the job runs."""

    ERROR = "error"
    WARNING = "warning"


class Problem(NamedTuple):
    """One thing found by a check.

    Attributes:
        code: stable, as in ``XR012``.
        path: the field, as in ``roles[0].env.PATH``.
        message: what is wrong, with the value given.
        fix: what to do.
        severity: whether it refuses the job.
    """

    code: str
    path: str
    message: str
    fix: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"[{self.code}] {self.path}: {self.message} ({self.fix})"
