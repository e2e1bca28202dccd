"""An engine that is only a table, with a supervisor that may die between any two actions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from xrun.schedulers.docker import labels, reconcile
from xrun.schedulers.docker.labels import Found, Restarts, Seen, Verdict
from xrun.schedulers.docker.reconcile import Create, Decide, Done, Failure, Key, Start, Stop
from xrun.specs.role import Role

APP_ID = "job-abcde"


class Container:
    """One container: which attempt of which replica, and how it is."""

    def __init__(self, key: Key, restarts: Restarts, role: str, startable: bool) -> None:
        self.key, self.restarts, self.role, self.startable = key, restarts, role, startable
        self.name = labels.container_name(APP_ID, role, key[1], restarts.attempt)
        self.state, self.exit_code, self.ended = "created", 0, 0.0
        self.stopped = False

    def row(self) -> dict[str, Any]:
        """As ``GET /containers/json`` shows it."""
        own = {labels.APP_ID: APP_ID, **labels.of_replica(self.key[0], self.role, self.key[1], self.restarts)}
        if self.key == (0, 0):
            own[labels.SPEC] = "{}"
        status = {"created": "Created", "running": "Up 2 seconds", "exited": f"Exited ({self.exit_code}) 1 second ago"}
        return {
            "Id": f"id of {self.name}",
            "Names": [f"/{self.name}"],
            "State": self.state,
            "Status": status[self.state],
            "Labels": own,
        }


class Simulated:
    """The engine.

    Args:
        roles: the app's.
        startable: asked for each container that is made: whether it can be started.
    """

    def __init__(self, roles: Sequence[Role], startable: Callable[[], bool] = lambda: True) -> None:
        self.roles, self._startable, self._clock = roles, startable, 0.0
        self.made: dict[str, Container] = {}
        self.verdicts: list[Verdict] = []
        self.orders: list[Verdict] = []
        for r, role in enumerate(roles):
            for k in range(role.num_replicas):
                self.create((r, k), Restarts())

    def create(self, key: Key, restarts: Restarts) -> None:
        """Does nothing if that attempt is there."""
        c = Container(key, restarts, self.roles[key[0]].name, self._startable())
        self.made.setdefault(c.name, c)

    def of(self, seen: Seen) -> Container:
        """A container by what the list says of it."""
        return self.made[seen.name]

    def running(self) -> list[Container]:
        """What runs."""
        return [c for c in self.made.values() if c.state == "running"]

    def end(self, c: Container, code: int) -> None:
        """A program ends."""
        self._clock += 1
        c.state, c.exit_code, c.ended = "exited", code, self._clock

    def decide(self, verdict: Verdict) -> None:
        """The first one is right; the name of the container that records it is taken then."""
        self.orders.append(verdict)
        self.verdicts = self.verdicts or [verdict]

    def found(self) -> Found:
        """What a list of containers says, from its rows."""
        rows = [c.row() for c in self.made.values()]
        for verdict in self.verdicts:
            own = {labels.APP_ID: APP_ID, labels.VERDICT: json.dumps(verdict)}
            rows.append({"Id": "v", "Names": ["/v"], "State": "created", "Status": "Created", "Labels": own})
        return labels.parse(rows)[APP_ID]


class Supervisor:
    """As the real one: looks, plans, acts; what it remembers is only how containers failed.

    Args:
        engine: where.
        stop_code: asked for each stop: what the program answers SIGTERM with.
    """

    def __init__(self, engine: Simulated, stop_code: Callable[[], int] = lambda: 143) -> None:
        self.engine, self._stop_code = engine, stop_code
        self.failures: dict[str, Failure] = {}
        self.queue: list[reconcile.Action] = []
        self.done = False

    def step(self) -> bool:
        """One action, planned before or now; False if there was none to be done."""
        if self.done:
            return False
        if not self.queue:
            found = self.engine.found()
            for seen in found.latest().values():
                if seen.exit_code:
                    outcome = Failure(f"exit {seen.exit_code}", self.engine.of(seen).ended)
                    self.failures.setdefault(seen.id, outcome)
            self.queue = reconcile.plan(found, self.engine.roles, self.failures)
        if not self.queue:
            return False
        self._do(self.queue.pop(0))
        return True

    def settle(self, limit: int = 1000) -> None:
        """Goes on until it waits or is done; fails if that takes more actions than any job needs."""
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("it never rests")

    def _do(self, action: reconcile.Action) -> None:
        if isinstance(action, Start):
            c = self.engine.of(action.container)
            if not c.startable:
                self.failures[action.container.id] = Failure("exit 127", 0.5)
            elif c.state == "created":
                c.state = "running"
        elif isinstance(action, Stop):
            c = self.engine.of(action.container)
            if c.state == "running":
                c.stopped = True
                self.engine.end(c, self._stop_code())
        elif isinstance(action, Create):
            self.engine.create(action.previous.key, action.restarts)
        elif isinstance(action, Decide):
            self.engine.decide(Verdict(action.state, action.reason, action.failed, 1.0))
        elif isinstance(action, Done):
            assert not self.engine.running()
            self.done = True
