"""The process that does for an app what the engine doesn't: gang, retries, time limit.

It keeps nothing: all it knows it reads from the engine, so it may be killed at any moment and another one go on. A lock
keeps it from being there twice on one host; twice would do no harm.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from xrun.errors import BackendUnavailable, XrunError
from xrun.schedulers.docker import containers, labels, locks, states
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.events import Changes
from xrun.schedulers.docker.labels import Found, Verdict
from xrun.schedulers.docker.reconcile import Action, Create, Decide, Done, Failure, Start, Stop, plan

_LOOK_AGAIN = 30.0  # seconds; events say when something changes, this is for those that were lost
_PAUSE = 0.5  # seconds before the same is tried again
_REFUSALS = 10  # refusals of the engine, one a second, after which the app has failed
_ENGINE_AWAY = 3600.0  # seconds without an engine after which it gives up; the next xrun command starts another


def ensure(engine: Engine, app_id: str) -> None:
    """Starts a supervisor for an app unless one is at it on this host; it inherits the lock, so there is no gap."""
    import subprocess

    with locks.try_lock(app_id) as lock:
        if lock is None:
            return
        lock.handed_over = True
        # the shell ends at once, so that the supervisor is nobody's child here
        subprocess.run(
            ["sh", "-c", '"$@" &', "sh", sys.executable, "-P", "-m", __name__, app_id, str(lock.fd)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            pass_fds=(lock.fd,),
            env={
                **os.environ,
                "DOCKER_HOST": engine.host,
                "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in sys.path if p),
            },
            check=False,
        )


def supervise(engine: Engine, app_id: str) -> None:
    """Does what is to be done until the app has ended or is gone."""
    failures: dict[str, Failure] = {}
    away, refused, before = 0.0, 0, None
    with Changes(engine, app_id) as changes:
        while True:
            try:
                found = containers.apps(engine, app_id).get(app_id)
                if found is None or not found.is_app:
                    return
                if refused > _REFUSALS:
                    return
                wait = _step(engine, found, failures)
                if wait == 0 and found == before:
                    wait = _PAUSE  # what was done had no effect yet
                away, refused, before = 0.0, 0, found
            except BackendUnavailable:
                failures.clear()  # what ended as the engine did is explained once it is back
                away = away or time.monotonic()
                if time.monotonic() - away > _ENGINE_AWAY:
                    return
                wait = 1.0
            except Refused as error:
                refused, wait = refused + 1, 1.0  # something may have changed since the look
                if refused == _REFUSALS:
                    _give_up(engine, app_id, str(error))
            if wait is None:
                return
            if wait:
                changes.wait(wait)


def _give_up(engine: Engine, app_id: str, reason: str) -> None:
    """Ends an app for which the engine won't do what is needed; what runs is stopped then."""
    found = containers.apps(engine, app_id).get(app_id)
    if found is not None and found.containers and found.verdict is None:
        with contextlib.suppress(Refused):
            containers.decide(engine, found, Verdict("FAILED", reason, None, time.time()))


def _step(engine: Engine, found: Found, failures: dict[str, Failure]) -> float | None:
    """One look and what follows from it: seconds to wait for a change, 0 to look again, None at the end."""
    app, options = states.app_of(found), states.options_of(found)
    limit = states.seconds(options, "max_runtime", 0)
    left = found.submitted + limit - time.time() if limit > 0 else None
    if app is None and found.verdict is None:
        reason = "the container that held what was submitted is gone or damaged: somebody removed it"
        actions: Sequence[Action] = [Decide("FAILED", reason, None)]
    elif found.verdict is None and left is not None and left <= 0:
        actions = [Decide("FAILED", f"stopped after max_runtime, {limit:g} s", None)]
    else:
        _note_failures(engine, found, failures)
        actions = plan(found, app.roles if app is not None else [], failures)
    if actions:
        # an engine that is shutting down still serves the connections it has, and may not start again if a network is
        # removed or a container started meanwhile; it takes no new ones
        engine.close()
    if any(isinstance(action, Done) for action in actions):
        containers.remove_network(engine, found.app_id)
        return None
    _perform(engine, found, actions, states.seconds(options, "grace_period", 30), failures)
    if actions:
        return 0.0
    return _LOOK_AGAIN if left is None else max(0.01, min(left, _LOOK_AGAIN))


def _perform(
    engine: Engine, found: Found, actions: Sequence[object], grace: float, failures: dict[str, Failure]
) -> None:
    containers.stop(engine, [a.container for a in actions if isinstance(a, Stop)], grace)
    creations = [a for a in actions if isinstance(a, Create)]
    containers.side_by_side(
        [partial(containers.create_next, engine, a.previous, a.restarts, found.app_id) for a in creations]
    )
    starts = [a.container for a in actions if isinstance(a, Start)]
    containers.side_by_side([partial(_start, engine, c, failures) for c in starts])
    for a in actions:
        if isinstance(a, Decide):
            containers.decide(engine, found, Verdict(a.state, a.reason, a.failed, time.time()))


def _start(engine: Engine, c: labels.Seen, failures: dict[str, Failure]) -> None:
    try:
        containers.start(engine, c.id)
    except Refused:
        _note_failure(engine, c, failures)


def _note_failures(engine: Engine, found: Found, failures: dict[str, Failure]) -> None:
    for c in found.latest().values():
        if c.id not in failures and (c.state == "dead" or (c.state == "exited" and c.exit_code != 0)):
            _note_failure(engine, c, failures)


def _note_failure(engine: Engine, c: labels.Seen, failures: dict[str, Failure]) -> None:
    try:
        state = containers.state_of(containers.inspect(engine, c.id))
    except Refused:
        return  # removed meanwhile
    error, _ = containers.explain(engine, c.id, state)
    text = f"{state.outcome}: {error}" if error else state.outcome
    failures[c.id] = Failure(text, state.ended or time.time())


def main() -> None:
    """``python -m xrun.schedulers.docker.supervisor APP_ID FD``; the descriptor holds the app's lock."""
    app_id = sys.argv[1]
    engine = Engine()
    try:
        supervise(engine, app_id)
    except XrunError:
        pass  # there is nobody to tell; the next xrun command starts another
    finally:
        engine.close()
        locks.forget(app_id)


if __name__ == "__main__":
    main()
