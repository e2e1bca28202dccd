"""What a scheduler answers with: an app as its system knows it, a row of a list, a thing that ``doctor`` looked at."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from xrun.specs.app import AppDef
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus


class AppDescription(NamedTuple):
    """An app as the system knows it.

    Attributes:
        app_id: its id.
        status: where it is.
        app: the job as it was submitted, or None if the system does not keep it.
        request_id: what its id was made from; empty if not kept.
        spec_hash: hash of job and options; empty if not kept.
        user: who submitted it.
        submitted: Unix time.
        handle: the handle it was given, if the system keeps it; it may name another session than ours.
        options: the scheduler's options that it was submitted with, if the system keeps them.
    """

    app_id: str
    status: AppStatus
    app: AppDef | None = None
    request_id: str = ""
    spec_hash: str = ""
    user: str = ""
    submitted: float = 0.0
    handle: str = ""
    options: Mapping[str, Any] = MappingProxyType({})


class ListedApp(NamedTuple):
    """One row of a list.

    Attributes:
        app_id: its id.
        name: the app's name.
        state: where it is.
        user: who submitted it.
        submitted: Unix time.
        ended: Unix time, 0 if it has not ended or the system does not say.
        handle: its handle, if it was submitted in another session than the one that lists (default: ours).
    """

    app_id: str
    name: str
    state: AppState
    user: str = ""
    submitted: float = 0.0
    ended: float = 0.0
    handle: str = ""


class ListFilter(NamedTuple):
    """Which apps to list.

    Attributes:
        user: only this user's (None for everybody's).
        name: only apps of this name.
        states: only apps in one of these states (empty for all).
        since: only apps submitted at or after this Unix time.
    """

    user: str | None = None
    name: str | None = None
    states: frozenset[AppState] = frozenset()
    since: float | None = None

    def takes(self, row: ListedApp) -> bool:
        """Whether a row is asked for."""
        return (
            self.user in (None, row.user)
            and self.name in (None, row.name)
            and (not self.states or row.state in self.states)
            and (self.since is None or row.submitted >= self.since)
        )


class Probe(NamedTuple):
    """One thing that ``xrun doctor`` looked at.

    Attributes:
        subject: what.
        ok: whether it is all right.
        detail: what was found or is to be done.
        unreachable: whether all that is wrong is that a system did not answer.
    """

    subject: str
    ok: bool
    detail: str
    unreachable: bool = False
