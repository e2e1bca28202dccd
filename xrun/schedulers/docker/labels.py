"""What an app's containers are called and what their labels say: all that is kept of an app is there."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PREFIX = "xrun.dev/"
APP_ID = f"{PREFIX}app-id"
HANDLE = f"{PREFIX}handle"
NAME = f"{PREFIX}name"
USER = f"{PREFIX}user"
ROLE = f"{PREFIX}role"
REPLICA = f"{PREFIX}replica"
ATTEMPT = f"{PREFIX}attempt"
RESTARTS = f"{PREFIX}restarts"
REQUEST_ID = f"{PREFIX}request-id"
SPEC_HASH = f"{PREFIX}spec-hash"
SUBMITTED = f"{PREFIX}submitted"
VERSION = f"{PREFIX}version"
SPEC = f"{PREFIX}spec"
OPTIONS = f"{PREFIX}options"
GPUS = f"{PREFIX}gpus"
APP_GPUS = f"{PREFIX}app-gpus"
MACHINE = f"{PREFIX}machine"
SUBMISSION = f"{PREFIX}submission"
VERDICT = f"{PREFIX}verdict"

VERDICTS = ("SUCCEEDED", "FAILED", "CANCELLED")

_MAX_HOST, _DIGITS = 63, 5
_EXITED = re.compile(r"Exited \((\d+)\)")


class Restarts(NamedTuple):
    """How often an attempt's app, role and replica were restarted before it; their sum is the attempt."""

    app: int = 0
    role: int = 0
    replica: int = 0

    @property
    def attempt(self) -> int:
        """Its number."""
        return sum(self)


class Verdict(NamedTuple):
    """How an app ends, once that is decided.

    Attributes:
        state: SUCCEEDED, FAILED or CANCELLED.
        reason: why, in one line.
        failed: index of the role and number of the replica that failed it.
        time: when it was decided, Unix seconds.
    """

    state: str
    reason: str
    failed: tuple[int, int] | None
    time: float


class Seen(NamedTuple):
    """A replica's container as the engine lists it.

    Attributes:
        id: the engine's id.
        name: its name.
        role: index of its role.
        replica: its number in the role.
        restarts: what came before this attempt.
        state: the engine's word: created, running, paused, restarting, exited, dead.
        exit_code: of one that has exited.
        labels: all of them.
        ports: what is published: container port -> host port.
    """

    id: str
    name: str
    role: int
    replica: int
    restarts: Restarts
    state: str
    exit_code: int | None
    labels: Mapping[str, str]
    ports: Mapping[int, int]

    @property
    def key(self) -> tuple[int, int]:
        """Which replica."""
        return self.role, self.replica

    @property
    def log_key(self) -> str:
        """Which log it has."""
        return self.id

    @property
    def replica_key(self) -> tuple[int, int]:
        """Whose log that is."""
        return self.key

    @property
    def role_name(self) -> str:
        """The name of its role."""
        return self.labels[ROLE].partition(":")[2]

    @property
    def runs(self) -> bool:
        """Whether anything of it runs."""
        return self.state in ("running", "paused", "restarting")


class Found(NamedTuple):
    """One app as the engine lists it.

    Attributes:
        app_id: its id.
        containers: every attempt of every replica.
        verdict: how it ends, once decided.
    """

    app_id: str
    containers: list[Seen]
    verdict: Verdict | None

    @property
    def head(self) -> Seen | None:
        """An attempt of the first replica, which holds what was submitted; None if the app is half made or removed."""
        return next((c for c in self.containers if c.key == (0, 0) and SPEC in c.labels), None)

    @property
    def is_app(self) -> bool:
        """Whether there is an app: its submission came to its last container, or something of it was started."""
        return self.head is not None or any(c.state != "created" for c in self.containers)

    @property
    def any_labels(self) -> Mapping[str, str]:
        """The labels that all containers have in common."""
        head = self.head or next(iter(self.containers), None)
        return head.labels if head is not None else {}

    @property
    def submitted(self) -> float:
        """Unix time, 0 if not known."""
        try:
            return float(self.any_labels.get(SUBMITTED, 0))
        except ValueError:
            return 0.0

    def latest(self) -> dict[tuple[int, int], Seen]:
        """The last attempt of each replica."""
        last: dict[tuple[int, int], Seen] = {}
        for c in self.containers:
            if c.key not in last or c.restarts.attempt > last[c.key].restarts.attempt:
                last[c.key] = c
        return last


def container_name(app_id: str, role: str, replica: int, attempt: int) -> str:
    """``train-x7f2q-trainer-0``, ``...-0.1`` for the second attempt; no two containers of an app share one."""
    return f"{app_id}-{role}-{replica}" + (f".{attempt}" if attempt else "")


def verdict_name(app_id: str) -> str:
    """The name of the container that records how an app ends; it is never started."""
    return f"{app_id}.verdict"


def host_name(app_id: str, role: str, replica: int) -> str:
    """The name under which other replicas of the app find one: a DNS label, whatever the role is called."""
    # one for one: a job whose roles differ in case or punctuation only is refused, see `validate`
    plain = re.sub(r"[^a-z0-9]", "-", role.lower())
    room = _MAX_HOST - len(app_id) - _DIGITS - 2
    if len(plain) > room:
        digest = f"{zlib.crc32(role.encode()):08x}"
        plain = f"{plain[: room - 9]}-{digest}".strip("-")
    return f"{app_id}-{plain}-{replica}"


def of_replica(role: int, name: str, replica: int, restarts: Restarts) -> dict[str, str]:
    """The labels that tell one attempt from the others."""
    return {
        ROLE: f"{role}:{name}",
        REPLICA: str(replica),
        ATTEMPT: str(restarts.attempt),
        RESTARTS: json.dumps(restarts),
    }


def of_verdict(app_id: str, verdict: Verdict) -> dict[str, str]:
    """The labels of the container that records how an app ends."""
    return {APP_ID: app_id, VERDICT: json.dumps(verdict)}


def parse(rows: Sequence[Mapping[str, Any]]) -> dict[str, Found]:
    """The apps in a list of containers as the engine gives it; what is not ours, or damaged, is passed over.

    So is what is being removed: it has no say any more.
    """
    found: dict[str, Found] = {}
    for row in rows:
        labels = row.get("Labels") or {}
        app_id = labels.get(APP_ID)
        if not app_id or row.get("State") == "removing":
            continue
        app = found.setdefault(app_id, Found(app_id, [], None))
        try:
            if VERDICT in labels:
                found[app_id] = app._replace(verdict=_verdict(labels[VERDICT]))
            else:
                app.containers.append(_seen(row, labels))
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            continue
    return {app_id: app for app_id, app in found.items() if app.containers or app.verdict}


def _seen(row: Mapping[str, Any], labels: Mapping[str, str]) -> Seen:
    exited = _EXITED.match(str(row.get("Status", "")))
    ports = {p["PrivatePort"]: p["PublicPort"] for p in row.get("Ports") or [] if p.get("PublicPort")}
    app, role, replica = (_count(n) for n in json.loads(labels[RESTARTS]))
    return Seen(
        id=row["Id"],
        name=row["Names"][0].lstrip("/"),
        role=_count(int(labels[ROLE].partition(":")[0])),
        replica=_count(int(labels[REPLICA])),
        restarts=Restarts(app, role, replica),
        state=row["State"],
        exit_code=int(exited[1]) if exited else None,
        labels=labels,
        ports=ports,
    )


def _verdict(text: str) -> Verdict:
    state, reason, failed, time = json.loads(text)
    if state not in VERDICTS or not isinstance(reason, str):
        raise ValueError(text)
    key = None
    if failed is not None:
        role, replica = failed
        key = _count(role), _count(replica)
    return Verdict(state, reason, key, float(time))


def _count(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(number)
    return number
