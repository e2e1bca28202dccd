"""What is done with containers on an engine, one call a function; every one may be repeated without harm."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from xrun.errors import XrunError
from xrun.schedulers import outcome
from xrun.schedulers.docker import labels
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.labels import Found, Restarts, Seen, Verdict
from xrun.schedulers.docker.request import ERROR_FILE

T = TypeVar("T")

NOT_THERE, CONFLICT, NOT_MODIFIED = 404, 409, 304
_SIDE_BY_SIDE = 16
_SIGNAL_BASE, _LAST_SIGNAL = 128, 64
_MAX_ERROR = 1 << 16


class State(NamedTuple):
    """How an attempt stands, from its inspection.

    Attributes:
        exit_code: None while it runs, before it started, or if a signal ended it.
        signal: name of the signal that ended it.
        started: Unix time, 0 if it never did.
        ended: Unix time, 0 if it has not.
        note: what the engine says of its end: out of memory, why it could not be started.
        created: Unix time.
        running: whether it runs.
    """

    exit_code: int | None
    signal: str
    started: float
    ended: float
    note: str
    created: float
    running: bool

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.exit_code == 0

    @property
    def over(self) -> bool:
        """Whether it has ended, or could not begin."""
        return bool(self.ended or self.note) and not self.running

    @property
    def outcome(self) -> str:
        """``exit 3`` or ``SIGKILL``."""
        return self.signal or f"exit {self.exit_code}"


def apps(engine: Engine, app_id: str | None = None) -> dict[str, Found]:
    """One app, or all there are, in one call."""
    label = labels.APP_ID if app_id is None else f"{labels.APP_ID}={app_id}"
    with engine.doing("list containers") as api:
        rows = api.containers(all=True, filters={"label": label})
    return labels.parse(rows)


def create(engine: Engine, name: str, config: Mapping[str, Any]) -> bool:
    """Creates a container; False if there is one of that name."""
    try:
        with engine.doing(f"create container {name}") as api:
            api.create_container_from_config(dict(config), name)
        return True
    except Refused as error:
        if error.status == CONFLICT and "already in use" in str(error):
            return False
        raise


def start(engine: Engine, container: str) -> None:
    """Starts a container that was created; does nothing to one that runs or has run.

    Raises:
        Refused: it can't be started; its inspection says why too.
    """
    try:
        with engine.doing(f"start container {container[:12]}") as api:
            api.start(container)
    except Refused as error:
        if error.status not in (NOT_MODIFIED, NOT_THERE):
            raise


def stop(engine: Engine, containers: Iterable[Seen], grace: float) -> None:
    """Stops containers side by side: SIGTERM, the grace period in seconds, SIGKILL."""

    def one(c: Seen) -> None:
        try:
            with engine.doing(f"stop container {c.name}") as api:
                api.stop(c.id, timeout=max(0, round(grace)))
        except Refused as error:
            if error.status not in (NOT_MODIFIED, NOT_THERE):
                raise

    side_by_side([lambda c=c: one(c) for c in containers])


def remove(engine: Engine, container: str) -> bool:
    """Removes a container, running or not, and its anonymous volumes; False if it is not there."""
    try:
        with engine.doing(f"remove container {container[:12]}") as api:
            api.remove_container(container, force=True, v=True)
        return True
    except Refused as error:
        if error.status == NOT_THERE or "already in progress" in str(error):
            return False
        raise


def create_network(engine: Engine, app_id: str, own_labels: Mapping[str, str]) -> None:
    """Creates an app's network if it is not there."""
    try:
        with engine.doing(f"create network {app_id}") as api:
            api.create_network(app_id, driver="bridge", check_duplicate=True, labels=dict(own_labels))
    except Refused as error:
        if error.status != CONFLICT:
            raise


def remove_network(engine: Engine, app_id: str) -> bool:
    """Removes an app's network; False if it is not there or still in use."""
    try:
        with engine.doing(f"remove network {app_id}") as api:
            for network in api.networks(names=[app_id], filters={"label": f"{labels.APP_ID}={app_id}"}):
                api.remove_network(network["Id"])
                return True
    except Refused as error:
        if error.status not in (NOT_THERE, 403, CONFLICT):
            raise
    return False


def decide(engine: Engine, found: Found, verdict: Verdict) -> None:
    """Records how an app ends; the first to do so is right."""
    head = found.head or found.containers[0]
    config = {
        "Image": inspect(engine, head.id)["Image"],
        "Labels": labels.of_verdict(found.app_id, verdict),
        "Cmd": ["-"],
    }
    create(
        engine,
        labels.verdict_name(found.app_id),
        {**config, "Entrypoint": ["-"], "HostConfig": {"NetworkMode": "none"}},
    )


def create_next(engine: Engine, previous: Seen, restarts: Restarts, app_id: str) -> None:
    """Creates the next attempt after a container: the same in all but what tells attempts apart."""
    there = inspect(engine, previous.id)
    config = dict(there["Config"])
    env = [pair for pair in config.get("Env") or [] if not pair.startswith("XRUN_ATTEMPT=")]
    role = previous.labels[labels.ROLE].partition(":")[2]
    own = labels.of_replica(previous.role, role, previous.replica, restarts)
    heads = (labels.SPEC, labels.OPTIONS, labels.REQUEST_ID, labels.SPEC_HASH)
    kept = {key: text for key, text in previous.labels.items() if key not in heads}
    networks = {
        name: {"Aliases": [config["Hostname"]]}
        for name in there["NetworkSettings"]["Networks"]
        if name not in ("bridge", "none", "host")
    }
    config |= {
        "Env": [*env, f"XRUN_ATTEMPT={restarts.attempt}"],
        "Labels": {**kept, **own},
        "HostConfig": there["HostConfig"],
        "NetworkingConfig": {"EndpointsConfig": networks},
    }
    create(engine, labels.container_name(app_id, role, previous.replica, restarts.attempt), config)


def inspect(engine: Engine, container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    with engine.doing(f"inspect container {container[:12]}") as api:
        found: dict[str, Any] = api.inspect_container(container)
    return found


def state_of(inspection: Mapping[str, Any]) -> State:
    """How an attempt stands."""
    state = inspection["State"]
    started, ended = _time(state["StartedAt"]), _time(state["FinishedAt"])
    error, code = str(state.get("Error") or ""), int(state["ExitCode"])
    running = bool(state["Running"])
    never = not started and not error
    signal = ""
    if not running and _SIGNAL_BASE < code <= _SIGNAL_BASE + _LAST_SIGNAL:
        signal = outcome.signal_name(code - _SIGNAL_BASE)
    known = None if running or never or signal else code
    note = _start_error(error) if error else _oom(inspection) if state.get("OOMKilled") else ""
    return State(known, signal, started, 0.0 if running else ended, note, _time(inspection["Created"]), running)


def read_error_file(engine: Engine, container: str) -> str:
    """What a program left in XRUN_ERROR_FILE; empty if nothing."""
    try:
        with engine.doing("read the error file") as api:
            chunks, _ = api.get_archive(container, ERROR_FILE)
            data = b"".join(chunks)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            file = tar.extractfile(tar.next() or tarfile.TarInfo())
            return file.read(_MAX_ERROR).decode("utf-8", "replace") if file else ""
    except (Refused, tarfile.TarError):
        return ""


def last_error_line(engine: Engine, container: str) -> str:
    """The last line on stderr that is not empty."""
    with engine.doing("read the log") as api:
        return outcome.last_line(api.logs(container, stdout=False, stderr=True, tail=20))


def explain(engine: Engine, container: str, state: State) -> tuple[str, str]:
    """Why an attempt failed: one line, and the whole of the error file."""
    if state.note:
        return state.note, ""
    try:
        detail = read_error_file(engine, container)
        return outcome.error_line(detail) or last_error_line(engine, container), detail
    except XrunError:
        return "", ""  # gone meanwhile; the exit code is known all the same


def side_by_side(calls: Sequence[Any]) -> list[Any]:
    """Carries out calls at the same time; raises the first error once all have ended."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(calls))) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _start_error(error: str) -> str:
    return " ".join(error.split())[:500]


def _oom(inspection: Mapping[str, Any]) -> str:
    limit = int(inspection["HostConfig"].get("Memory") or 0)
    return f"out of memory: it was killed at its limit of {limit >> 20} MiB (memMB)" if limit else "out of memory"


def _time(text: str) -> float:
    """RFC 3339 with nanoseconds, as the engine writes it, as Unix seconds; 0 for its zero."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    base = datetime.fromisoformat(f"{whole.rstrip('Z')}Z").timestamp()
    return base + (float(f"0.{digits}") if digits else 0.0)
