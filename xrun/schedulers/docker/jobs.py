"""The jobs on an engine: the contract in terms of containers. Imported when an engine is asked, not by dry runs."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from xrun.errors import InvalidJob, InvalidValue
from xrun.schedulers import images as role_images
from xrun.schedulers import secrets
from xrun.schedulers.api import AppDescription, ListedApp
from xrun.schedulers.docker import containers, labels, locks, logs, request, states, submission, supervisor
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.events import AWAY, Changes
from xrun.schedulers.docker.images import Images
from xrun.schedulers.docker.labels import Found, Seen, Verdict
from xrun.schedulers.docker.request import DockerRequest
from xrun.schedulers.docker.submission import Submission
from xrun.schedulers.home import home
from xrun.schedulers.logs import LogChunk, LogQuery, tail_of
from xrun.schedulers.patience import Patience
from xrun.schedulers.user import user_name
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.problems import Problem
from xrun.specs.states import is_terminal


class Jobs:
    """The jobs on an engine.

    Args:
        engine: where.
        progress: takes lines about what goes on while an image is pulled, built or pushed.
    """

    def __init__(self, engine: Engine, progress: Callable[[str], None]) -> None:
        self._engine = engine
        self._progress = progress

    def submit(self, info: AppDryRunInfo[DockerRequest]) -> bool:
        """Creates all containers, the first of which holds the app's name, and starts them.

        Raises:
            InvalidJob: a script is not in its workspace.
            InvalidValue: a secret can't be had, or it or a copied variable is no text.
            BackendError: an image isn't there, or the engine refuses.
        """
        asked = info.request
        if missing := [*role_images.missing_scripts(asked.app.roles)]:
            raise InvalidJob(missing)
        values = [_as_texts("secret", secrets.resolve(role.secrets, os.environb)) for role in asked.app.roles]
        copied = _as_texts("variable", _copied(asked.options.copy_env))
        images = Images(
            self._engine, pull=asked.options.pull, progress=self._progress, cache=os.path.join(home(), "workspaces")
        )
        prepared = [
            images.prepare(request.image_of(asked, role), role.workspace, asked.options.image_repo)
            for role in asked.app.roles
        ]
        if not Submission(self._engine, info, prepared, copied, values).run():
            return False
        if asked.is_supervised or self._is_decided(info.app_id):
            supervisor.ensure(self._engine, info.app_id)
        return True

    def check(self, asked: DockerRequest) -> list[Problem]:
        """What is sure to fail here and on the engine: scripts that aren't there, images that may not be pulled."""
        found = [*role_images.missing_scripts(asked.app.roles)]
        images = Images(self._engine)
        for i, role in enumerate(asked.app.roles):
            image = request.image_of(asked, role)
            if images.inspect(image) is None and asked.options.pull == "never":
                message = f"there is no image {image} on the engine"
                found.append(Problem("XR125", f"roles[{i}].image", message, "build it, or allow it with pull=missing"))
        return found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From one list of containers; one app is looked at more closely."""
        single = len(app_ids) == 1
        found = containers.apps(self._engine, app_ids[0] if single else None)
        here = {app_id: found[app_id] for app_id in app_ids if app_id in found and found[app_id].is_app}
        self._heal(found[app_id] for app_id in app_ids if app_id in found)
        host = self._engine.hostname
        return {
            app_id: states.describe(app, partial(self._look, app) if single else None, host)
            for app_id, app in here.items()
        }

    def listed(self) -> Iterable[ListedApp]:
        """From one list of containers."""
        found = containers.apps(self._engine)
        self._heal(found.values())
        for app_id, app in found.items():
            if not app.is_app:
                continue
            there = states.describe(app, None)
            name = app.any_labels.get(labels.NAME, app_id)
            yield ListedApp(
                app_id, name, there.status.state, there.user, there.submitted, there.status.ended, there.handle
            )

    def cancel(self, app_id: str) -> None:
        """Records the end; a supervisor carries it out, side by side for all containers."""
        found = self._find(app_id)
        if found is not None:
            if found.verdict is None:
                containers.decide(self._engine, found, Verdict("CANCELLED", "cancelled", None, time.time()))
            supervisor.ensure(self._engine, app_id)

    def delete(self, app_id: str) -> bool:
        """Removes containers, network and the volumes that were made for the app, once nobody is at it any more."""
        end = time.monotonic() + _LETS_GO
        while True:
            with locks.try_lock(app_id) as lock:
                # a supervisor that has not heard of the end yet might make another attempt meanwhile
                if lock is not None or time.monotonic() > end:
                    return containers.remove_app(self._engine, self._find(app_id) or Found(app_id, [], None))
            time.sleep(0.02)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the engine's log of each container."""
        if query.follow:
            chunks = self._follow(app_id, query)
        else:
            chunks = logs.read(self._engine, self._wanted(app_id, query), query)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the engine's events. An engine that goes away meanwhile is waited for, a while.

        Raises:
            BackendUnavailable: the engine can't be reached at first, or does not come back.
        """
        end = None if timeout is None else time.monotonic() + timeout
        patience = Patience(AWAY)
        with Changes(self._engine, app_ids[0] if len(app_ids) == 1 else None) as changes:
            while True:
                found = patience.ask(partial(self.describe_many, app_ids))
                if found is not None:
                    yield found
                    if all(is_terminal(d.status.state) for d in found.values()):
                        return
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return
                changes.wait(_LOOK_AGAIN if left is None else min(left, _LOOK_AGAIN))

    # --- looking ---------------------------------------------------------------------------------------------------

    def _is_decided(self, app_id: str) -> bool:
        """Whether somebody cancelled an app before all of it was started; what was started then must be stopped."""
        found = self._find(app_id)
        return found is not None and found.verdict is not None

    def _find(self, app_id: str) -> Found | None:
        return containers.apps(self._engine, app_id).get(app_id)

    def _look(self, app: Found, c: Seen) -> tuple[containers.State, str, str] | None:
        try:
            state = containers.state_of(containers.inspect(self._engine, c.id))
        except Refused:
            return None
        if not state.over or state.ok:
            return state, "", ""
        by_us = app.verdict is not None and state.ended > app.verdict.time
        return state, *containers.explain(self._engine, c.id, state, by_us=by_us)

    def _heal(self, found: Iterable[Found]) -> None:
        """Starts the supervisor of each app of ours that needs one and has none; removes what was never an app."""
        for app in found:
            if app.containers and app.any_labels.get(labels.USER) != user_name():
                continue
            with contextlib.suppress(OSError, Refused):  # who only looks needs no folder that can be written to
                if not app.is_app:
                    submission.sweep(self._engine, app)
                elif _needs_supervisor(app):
                    supervisor.ensure(self._engine, app.app_id)

    def _wanted(self, app_id: str, query: LogQuery) -> list[Seen]:
        found = self._find(app_id)
        parts = found.containers if found else []
        parts = sorted(parts, key=lambda c: (c.role, c.replica, c.restarts.attempt))
        return [c for c in parts if query.wants(c.role_name, c.replica, query.stream)]

    def _follow(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        patience = Patience(AWAY)
        parts = patience.ask(lambda: self._wanted(app_id, query)) or []
        with Changes(self._engine, app_id) as changes:

            def look() -> tuple[bool, list[Seen]]:
                ended = is_terminal(there.status.state) if (there := self._bulk(app_id)) else True
                return ended, self._wanted(app_id, query)

            def more(known: set[str]) -> Sequence[Seen] | None:
                changes.wait(_LOOK_AGAIN)
                ended, there = patience.ask(look) or (False, [])
                fresh = [c for c in there if c.id not in known]
                return None if ended and not fresh else fresh

            yield from logs.follow(self._engine, parts, query, more, changes.wake)

    def _bulk(self, app_id: str) -> AppDescription | None:
        found = self._find(app_id)
        return states.describe(found, None) if found is not None and found.containers else None


_LOOK_AGAIN = 10.0
_LETS_GO = 5.0  # seconds that a supervisor has to notice an end


def _needs_supervisor(app: Found) -> bool:
    """Whether there is something to be done that the engine does not do by itself."""
    if app.verdict is not None or app.head is None:
        return any(c.runs for c in app.containers)
    made = states.app_of(app)
    supervised = states.is_supervised(made.roles if made is not None else [], states.options_of(app))
    return supervised or app.head.state == "created"


def _as_texts(kind: str, values: Mapping[str, bytes]) -> dict[str, str]:
    """Values of secrets or variables as the engine takes them."""
    for name, value in values.items():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            message = f"{kind} {name} is not UTF-8, which is all that docker takes; encode it, as with base64"
            raise InvalidValue(message, code="XR131") from error
    return {name: value.decode() for name, value in values.items()}


def _copied(globs: Sequence[str]) -> dict[str, bytes]:
    """Variables of the launcher that match any of the globs."""
    names = {os.fsdecode(name): value for name, value in os.environb.items() if not name.startswith(b"XRUN_")}
    return {name: value for name, value in names.items() if any(fnmatch.fnmatchcase(name, glob) for glob in globs)}
