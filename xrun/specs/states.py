"""The states of an app or a replica."""

from __future__ import annotations

from enum import IntEnum


class AppState(IntEnum):
    """Where an app is in its life; the numbers are TorchX's."""

    UNSUBMITTED = 0
    SUBMITTED = 1
    PENDING = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    UNKNOWN = 7

    def __str__(self) -> str:
        return self.name


ReplicaState = AppState
"""TorchX's name for the state of one replica."""

_TERMINAL = frozenset({AppState.SUCCEEDED, AppState.FAILED, AppState.CANCELLED})
_STARTED = _TERMINAL | {AppState.RUNNING}


def is_terminal(state: AppState) -> bool:
    """True once nothing can change any more."""
    return state in _TERMINAL


def is_started(state: AppState) -> bool:
    """True once anything of the app has run."""
    return state in _STARTED
