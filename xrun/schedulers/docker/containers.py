"""What is done with containers on an engine, one call a function; every one may be repeated without harm."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from xrun.errors import BackendUnavailable, XrunError
from xrun.schedulers import outcome
from xrun.schedulers.docker import labels
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.events import sent_signal
from xrun.schedulers.docker.labels import Found, Restarts, Seen, Verdict
from xrun.schedulers.docker.request import ERROR_FILE

T = TypeVar("T")

NOT_THERE, CONFLICT, NOT_MODIFIED, FORBIDDEN = 404, 409, 304, 403
_SIDE_BY_SIDE, _STOPS = 16, 256
_PAUSES = (0.1, 0.3)  # seconds before a call is made again that the connection was lost in
_REGISTERED = 5.0  # seconds in which a name that is taken must be there to be looked at
_SIGNAL_BASE, _LAST_SIGNAL = 128, 64
_STOP_SIGNALS, _AROUND = ("SIGTERM", "SIGKILL"), 120.0  # seconds from an engine's end to its next start
_KILLED = _SIGNAL_BASE + 9
_MAX_ERROR, _MAX_LINE = 1 << 16, 500
_EMPTY, _TAR_BLOCK = "xrun-empty", 512
_INIT_FAILED = re.compile(r"\[FATAL tini \(\d+\)\] exec (.*) failed: (.*)")


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

    def call() -> Sequence[Mapping[str, Any]]:
        with engine.doing("list containers") as api:
            rows: Sequence[Mapping[str, Any]] = api.containers(all=True, filters={"label": label})
        return rows

    return labels.parse(_again(call))


def create(engine: Engine, name: str, config: Mapping[str, Any]) -> bool:
    """Creates a container; an answer that was lost is asked for again.

    Returns:
        False if there is one of that name, and it is of another submission.
    """

    def call() -> None:
        with engine.doing(f"create container {name}") as api:
            api.create_container_from_config(dict(config), name)

    try:
        _again(call)
        return True
    except Refused as error:
        if error.status == CONFLICT and "already in use" in str(error):
            mine = config["Labels"].get(labels.SUBMISSION)
            return mine is not None and _label(engine, name, labels.SUBMISSION) == mine
        raise


def _again(call: Callable[[], T]) -> T:
    """Makes a call that may be repeated, again if the connection is lost in it."""
    for pause in _PAUSES:
        try:
            return call()
        except BackendUnavailable:
            time.sleep(pause)  # the engine may still be at it
    return call()


def _label(engine: Engine, name: str, label: str) -> str | None:
    """A label of a container; a name is taken a moment before it can be looked at."""
    end = time.monotonic() + _REGISTERED
    while True:
        try:
            found: dict[str, str] = inspect(engine, name)["Config"]["Labels"] or {}
            return found.get(label)
        except Refused as error:
            if error.status != NOT_THERE or time.monotonic() > end:
                raise
        time.sleep(0.05)


def start(engine: Engine, container: str) -> None:
    """Starts a container that was created; does nothing to one that runs or has run.

    Raises:
        Refused: it can't be started; its inspection says why too.
    """

    def call() -> None:
        with engine.doing(f"start container {container[:12]}") as api:
            api.start(container)

    try:
        _again(call)
    except Refused as error:
        # a network that is gone is "not found" too
        is_gone = error.status == NOT_THERE and "no such container" in str(error).lower()
        if error.status != NOT_MODIFIED and not is_gone:
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

    side_by_side([partial(one, c) for c in containers], _STOPS)  # or a second grace period begins after the first


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

    def call() -> None:
        with engine.doing(f"create network {app_id}") as api:
            api.create_network(app_id, driver="bridge", check_duplicate=True, labels=dict(own_labels))

    try:
        _again(call)
    except Refused as error:
        if error.status != CONFLICT:
            raise


def networks(engine: Engine) -> list[str]:
    """The ids of the apps that have a network."""
    with engine.doing("list networks") as api:
        found = api.networks(filters={"label": labels.APP_ID})
    return [n["Labels"][labels.APP_ID] for n in found]


def remove_network(engine: Engine, app_id: str) -> bool:
    """Removes an app's network; False if it is not there or still in use."""
    with engine.doing(f"look for network {app_id}") as api:
        found = api.networks(names=[app_id], filters={"label": f"{labels.APP_ID}={app_id}"})
    gone = [_removed(engine, "network", n["Id"]) for n in found]
    return any(gone)


def remove_volumes(engine: Engine, app_id: str) -> bool:
    """Removes the volumes that were made for an app, or for one that is gone, but for those that a container uses."""
    with engine.doing(f"look for volumes of {app_id}") as api:
        found = api.volumes(filters={"label": labels.APP_ID, "dangling": "true"})["Volumes"] or []
    owners = {v["Name"]: v["Labels"][labels.APP_ID] for v in found}
    here = apps(engine) if set(owners.values()) - {app_id} else {}
    gone = {name: _removed(engine, "volume", name) for name, owner in owners.items() if owner not in here}
    return any(gone[name] for name, owner in owners.items() if owner == app_id and name in gone)


def _removed(engine: Engine, kind: str, name: str) -> bool:
    try:
        with engine.doing(f"remove {kind} {name}") as api:
            getattr(api, f"remove_{kind}")(name)
        return True
    except Refused as error:
        if error.status not in (NOT_THERE, FORBIDDEN, CONFLICT):
            raise
        return False


def remove_app(engine: Engine, found: Found) -> bool:
    """Removes all that is left of an app; False if there was nothing.

    The container that holds the job comes after the others, and what records its end last: whatever is left if this is
    cut off is either the app as it ended or no app at all.
    """
    head = found.head
    others = [c for c in found.containers if head is None or c.id != head.id]
    gone = side_by_side([partial(remove, engine, c.id) for c in others])
    if head is not None:
        gone.append(remove(engine, head.id))
    gone += [remove_network(engine, found.app_id), remove_volumes(engine, found.app_id)]
    if found.verdict is not None:
        gone.append(remove(engine, labels.verdict_name(found.app_id)))
    return any(gone)


def decide(engine: Engine, found: Found, verdict: Verdict) -> None:
    """Records how an app ends; the first to do so is right."""
    config = {
        "Image": _some_image(engine, found),
        "Labels": labels.of_verdict(found.app_id, verdict),
        "Cmd": ["-"],
        "Entrypoint": ["-"],
        "HostConfig": {"NetworkMode": "none"},
    }
    name = labels.verdict_name(found.app_id)
    try:
        create(engine, name, config)
    except Refused as error:
        if error.status != NOT_THERE:
            raise
        create(engine, name, {**config, "Image": _empty_image(engine)})  # somebody forced the image's removal


def _some_image(engine: Engine, found: Found) -> str:
    """The image of any container; one that is being made is listed a moment before it can be looked at."""
    for c in sorted(found.containers, key=lambda c: c.state == "created"):
        with contextlib.suppress(Refused):
            return str(inspect(engine, c.id)["Image"])
    return _empty_image(engine)


def _empty_image(engine: Engine) -> str:
    """The name of an image with nothing in it, which is made if need be."""
    with engine.doing("make an empty image") as api:
        api.import_image_from_data(bytes(2 * _TAR_BLOCK), repository=_EMPTY, tag="1")
    return f"{_EMPTY}:1"


def create_next(engine: Engine, previous: Seen, restarts: Restarts, app_id: str) -> None:
    """Creates the next attempt after a container: the same in all but what tells attempts apart."""
    there = inspect(engine, previous.id)
    config = dict(there["Config"])
    env = [pair for pair in config.get("Env") or [] if not pair.startswith("XRUN_ATTEMPT=")]
    role = previous.role_name
    own = labels.of_replica(previous.role, role, previous.replica, restarts)
    networks = {
        name: {"Aliases": [config["Hostname"]]}
        for name in there["NetworkSettings"]["Networks"]
        if name not in ("bridge", "none", "host")
    }
    config |= {
        "Env": [*env, f"XRUN_ATTEMPT={restarts.attempt}"],
        "Image": there["Image"],  # its name may stand for another one by now, or for none
        "Labels": {**previous.labels, **own},
        "HostConfig": there["HostConfig"],
        "NetworkingConfig": {"EndpointsConfig": networks},
    }
    name = labels.container_name(app_id, role, previous.replica, restarts.attempt)
    if not create(engine, name, config):
        raise Refused(f"the next attempt's name is another container's; docker rm -f {name} removes that", CONFLICT)


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
    note = ""
    if error:
        note = _start_error(inspection, error)
    elif state.get("OOMKilled") and code:
        note = _oom(inspection)
    return State(known, signal, started, 0.0 if running else ended, note, _time(inspection["Created"]), running)


def read_error_file(engine: Engine, container: str) -> str:
    """The beginning of what a program left in XRUN_ERROR_FILE; empty if nothing, or no file."""
    data = bytearray()
    try:
        with engine.doing("read the error file") as api:
            chunks, _ = api.get_archive(container, ERROR_FILE)
            with contextlib.closing(chunks):
                for chunk in chunks:
                    data += chunk
                    if len(data) > _MAX_ERROR:
                        break
    except Refused:
        return ""
    import tarfile

    try:
        info = tarfile.TarInfo.frombuf(bytes(data[: tarfile.BLOCKSIZE]), "utf-8", "surrogateescape")
    except tarfile.TarError:
        return ""
    size = min(info.size, _MAX_ERROR)
    return data[tarfile.BLOCKSIZE :][:size].decode("utf-8", "replace") if info.isreg() else ""


def last_error_line(engine: Engine, container: str) -> str:
    """The last line on stderr that is not empty; what the engine's init says there is put in our words."""
    with engine.doing("read the log") as api:
        line = outcome.last_line(api.logs(container, stdout=False, stderr=True, tail=20))
    unstarted = _INIT_FAILED.fullmatch(line)
    return f"can't start {unstarted[1]}: {unstarted[2]} in the image" if unstarted else line


def explain(engine: Engine, container: str, state: State, *, by_us: bool = False) -> tuple[str, str]:
    """Why an attempt failed: one line, and the whole of the error file.

    Args:
        engine: where.
        container: the attempt.
        state: how it stands.
        by_us: it was we who stopped it.
    """
    if state.note:
        return state.note, ""
    try:
        detail = read_error_file(engine, container)
        error = outcome.error_line(detail) or ("" if by_us else _stopped_by(engine, container, state))
        return error or last_error_line(engine, container), detail
    except XrunError:
        return "", ""  # gone meanwhile; the exit code is known all the same


def _stopped_by(engine: Engine, container: str, state: State) -> str:
    """Who else stopped a container, as far as the engine knows; empty if nobody."""
    sent = sent_signal(engine, container, state.started, state.ended)
    if sent:
        return f"somebody sent it {sent}, as docker stop and docker kill do"
    if state.signal in _STOP_SIGNALS and 0 <= engine_began(engine) - state.ended < _AROUND:
        return "the engine was stopped or restarted"
    return ""


def engine_began(engine: Engine) -> float:
    """When the engine started with no container running, Unix seconds: it makes its bridge then; 0 if not known."""
    try:
        with engine.doing("look at the bridge") as api:
            return _time(api.inspect_network("bridge")["Created"])
    except Refused:
        return 0.0


def side_by_side(calls: Sequence[Callable[[], T]], limit: int = _SIDE_BY_SIDE) -> list[T]:
    """Carries out calls at the same time; raises the first error once all have ended."""
    if len(calls) < 2:
        return [call() for call in calls]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(limit, len(calls))) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _start_error(inspection: Mapping[str, Any], error: str) -> str:
    """Why the engine could not start it, without the names of those who told each other."""
    reason = " ".join(error.split()).rpartition("unable to start container process: ")[2].removesuffix(": unknown")
    program = (inspection["Config"]["Entrypoint"] or inspection["Config"]["Cmd"] or [""])[0]
    return f"can't start {program}: {reason}"[:_MAX_LINE]


def _oom(inspection: Mapping[str, Any]) -> str:
    limit = int(inspection["HostConfig"].get("Memory") or 0)
    which = "it was" if inspection["State"]["ExitCode"] == _KILLED else "one of its processes was"
    at = f" at the limit of {limit >> 20} MiB (memMB)" if limit else ""
    return f"out of memory: {which} killed{at}"


def _time(text: str) -> float:
    """RFC 3339 with nanoseconds, as the engine writes it, as Unix seconds; 0 for its zero."""
    if not text or text.startswith("0001-"):
        return 0.0
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    base = datetime.fromisoformat(f"{whole.rstrip('Z')}Z").timestamp()
    return base + (float(f"0.{digits}") if digits else 0.0)
