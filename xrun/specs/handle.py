"""The names under which a job is found again: ``scheduler://session/app_id[/role[/replica,...]]``."""

from __future__ import annotations

import re
from typing import NamedTuple

from xrun.errors import MalformedHandle, shown

AppHandle = str
"""``scheduler://session/app_id``."""

DEFAULT_SESSION = "default"

# A word begins with a letter or a digit: backends make file and object names of these, and ".." is none.
_WORD = r"[A-Za-z0-9][A-Za-z0-9_.:@+=-]*"
_HANDLE = re.compile(
    rf"([A-Za-z][A-Za-z0-9_.+-]*)://({_WORD})?/({_WORD})(?:/({_WORD})(?:/([0-9]{{1,9}}(?:,[0-9]{{1,9}})*))?)?"
)
_SHAPE = "scheduler://session/app_id[/role[/replica,...]], as in local://default/train-x7f2q"


class ParsedAppHandle(NamedTuple):
    """The three parts of a handle, in TorchX's order."""

    scheduler_backend: str
    session_name: str
    app_id: str


class LogTarget(NamedTuple):
    """A handle that may go on to a role and some of its replicas.

    Attributes:
        handle: the app's handle.
        role: one role, or None for all.
        replicas: numbers of that role's replicas, or None for all.
    """

    handle: AppHandle
    role: str | None
    replicas: list[int] | None


def is_session(name: str) -> bool:
    """Whether a name can stand in a handle as its session."""
    return re.fullmatch(_WORD, name) is not None


def make_app_handle(scheduler_backend: str, session_name: str, app_id: str) -> AppHandle:
    """The handle of an app."""
    return f"{scheduler_backend}://{session_name or DEFAULT_SESSION}/{app_id}"


def parse_app_handle(handle: AppHandle) -> ParsedAppHandle:
    """The parts of a handle; ``slurm:///job`` is the session ``default``.

    Raises:
        MalformedHandle: it is not one, or names a role.
    """
    m = _match(handle)
    if m[4]:
        raise MalformedHandle(f"{shown(handle, 120)} names a role; here only the app is meant: {_SHAPE}")
    return ParsedAppHandle(m[1], m[2] or DEFAULT_SESSION, m[3])


def parse_log_target(handle: str) -> LogTarget:
    """A handle that may name a role and replicas.

    Raises:
        MalformedHandle: it is not one.
    """
    m = _match(handle)
    replicas = [int(k) for k in m[5].split(",")] if m[5] else None
    return LogTarget(make_app_handle(m[1], m[2], m[3]), m[4], replicas)


def _match(handle: str) -> re.Match[str]:
    m = _HANDLE.fullmatch(handle)
    if m is None:
        raise MalformedHandle(f"{shown(handle, 120)} is not a handle: {_SHAPE}")
    return m
