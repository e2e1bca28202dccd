"""My jobs, wherever they run: what the history knows, and what the systems say of those that have not ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from xrun import schedulers
from xrun.errors import XrunError
from xrun.runner.history import VERDICTS, Entry, Query, Seen
from xrun.runner.runner import Runner
from xrun.schedulers.descriptions import ListFilter
from xrun.schedulers.user import user_name
from xrun.specs.handle import DEFAULT_SESSION, parse_app_handle
from xrun.specs.states import AppState, is_terminal

if TYPE_CHECKING:
    from xrun.schedulers.descriptions import AppDescription, ListedApp

_LAST_KNOWN = "a state with a question mark is the last one known"
_LIVE = frozenset(state for state in AppState if not is_terminal(state))


class Wanted(NamedTuple):
    """Which jobs to list.

    Attributes:
        everything: everybody's, and also those that only the systems know; each is asked for all it has.
        name: only of this app name.
        states: only in one of these states (empty for all).
        schedulers: only on these (default: wherever the history knows of some, and the configured one).
        since: only those submitted at or after this Unix time.
    """

    everything: bool = False
    name: str | None = None
    states: frozenset[AppState] = frozenset()
    schedulers: Sequence[str] = ()
    since: float | None = None


class Listing(NamedTuple):
    """Some jobs.

    Attributes:
        rows: the newest first; a job that its system no longer knows and whose end was never seen is UNKNOWN.
        notices: what could not be read or asked, a line each.
    """

    rows: list[Entry]
    notices: list[str]


def list_jobs(runner: Runner, wanted: Wanted) -> Listing:
    """Jobs, the newest first.

    Those of which the history has the verdict are not asked for. A system that can't be asked is named in a notice; of
    its jobs the last known state is given.

    Args:
        runner: asks the systems.
        wanted: which.

    Raises:
        UnknownName: there is no such scheduler.
    """
    names = tuple(dict.fromkeys(map(schedulers.require_name, wanted.schedulers)))
    user = None if wanted.everything else user_name()
    notices: list[str] = []
    try:
        rows = runner.history.recent(Query(user, wanted.name, names, wanted.since))
    except XrunError as error:
        rows = []
        notices.append(f"only what the systems know is shown: {error}")
    merged = _Merged(rows)
    asked = ListFilter(user, wanted.name, frozenset() if wanted.everything else _LIVE, wanted.since)
    for name in names or (runner.defaults.scheduler,):
        try:
            merged.add(runner.list(name, asked))
        except XrunError as error:
            merged.silent.add(schedulers.own_name(name))
            notices.append(f"{name} can't be asked; {_LAST_KNOWN}: {error}")
    merged.ask(runner, notices)
    try:
        runner.history.seen(merged.news)
    except XrunError:
        pass  # then the systems are asked again next time
    return Listing(merged.sorted(wanted.states), notices)


class _Merged:
    """Rows of the history, brought up to date; with thousands that have a verdict this does next to nothing.

    Attributes:
        news: what the systems said that the history did not know.
        silent: schedulers that can't be asked.
    """

    def __init__(self, rows: list[Entry]) -> None:
        self._rows = rows
        self._places: dict[str, int] = {}
        self._current: set[str] = set()
        self.news: list[Seen] = []
        self.silent: set[str] = set()

    def add(self, found: Iterable[ListedApp]) -> None:
        """Takes in what a system lists; it is the truth."""
        for app in found:
            place = self._place(app.handle)
            if place is None:
                self._places[app.handle] = len(self._rows)
                self._rows.append(Entry(app.handle, app.name, app.state.name, app.user, app.submitted, app.ended, ""))
            else:
                self._update(place, app.state, app.ended, "")
            self._current.add(app.handle)

    def ask(self, runner: Runner, notices: list[str]) -> None:
        """Asks for what has no verdict yet, in one call a system."""
        asked: dict[tuple[str, str], list[str]] = {}
        for row in self._rows:
            if row.state not in VERDICTS and row.handle not in self._current:
                scheduler, session, _ = parse_app_handle(row.handle)
                asked.setdefault((scheduler, session), []).append(row.handle)
        for (scheduler, session), handles in asked.items():
            there: Mapping[str, AppDescription] = {}
            if scheduler not in self.silent:
                try:
                    there = runner.descriptions(handles)
                except XrunError as error:
                    self.silent.add(scheduler)
                    where = scheduler if session == DEFAULT_SESSION else f"{scheduler}://{session}"
                    notices.append(f"{where} can't be asked; {_LAST_KNOWN}: {error}")
            for handle in handles:
                self._settle(handle, there.get(handle), known=scheduler not in self.silent)

    def sorted(self, states: frozenset[AppState]) -> list[Entry]:
        """The rows in one of these states (empty for all), the newest first."""
        if self._places:  # those of the history are in order
            self._rows.sort(key=lambda row: (-row.submitted, row.handle))
        if not states:
            return self._rows
        names = {state.name for state in states}
        return [row for row in self._rows if row.state in names]

    def _settle(self, handle: str, there: AppDescription | None, *, known: bool) -> None:
        place = self._place(handle)
        if place is None:
            return
        if there is not None:
            self._update(place, there.status.state, there.status.ended, there.status.msg)
        elif known:
            self._rows[place] = self._rows[place]._replace(state=AppState.UNKNOWN.name)
        else:
            self._rows[place] = self._rows[place]._replace(current=False)

    def _place(self, handle: str) -> int | None:
        if not self._places:
            self._places = {row.handle: place for place, row in enumerate(self._rows)}
        return self._places.get(handle)

    def _update(self, place: int, state: AppState, ended: float, message: str) -> None:
        row = self._rows[place]
        if (row.state, row.ended) != (state.name, ended):
            self._rows[place] = row._replace(state=state.name, ended=ended)
            self.news.append(Seen(row.handle, state.name, ended, message))
