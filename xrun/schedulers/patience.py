"""Waits and logs that outlast a system which is away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from xrun.errors import BackendUnavailable

T = TypeVar("T")


class Patience:
    """Asks a system again and again, and bears with one that was there and is away.

    Args:
        seconds: for how long.
        known: whether it need not answer at first, since it is known to be there.
    """

    def __init__(self, seconds: float, *, known: bool = False) -> None:
        self._seconds = seconds
        self._since = time.monotonic() if known else None

    def ask(self, call: Callable[[], T]) -> T | None:
        """The answer; None while the system is away.

        Raises:
            BackendUnavailable: it was not there at first, or is away for too long.
        """
        try:
            answer = call()
        except BackendUnavailable:
            if self._since is None or time.monotonic() - self._since > self._seconds:
                raise
            return None
        self._since = time.monotonic()
        return answer
