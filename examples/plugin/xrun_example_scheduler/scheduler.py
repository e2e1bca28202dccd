"""``-s example``: a folder for each app, below ``$XRUN_EXAMPLE_HOME``, and a process that looks after it."""

from __future__ import annotations

import base64
import fcntl
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, Stream, tail_of
from xrun.specs import AppDef, AppDryRunInfo, AppState, AppStatus, CommonOptions, ReplicaStatus, RoleStatus, is_terminal
from xrun.specs.serialize import from_dict, to_dict, to_yaml
from xrun.specs.status import NONE

_POLL = 0.05


def create_scheduler(session: str, **_: Any) -> ExampleScheduler:
    """What the entry point names."""
    return ExampleScheduler(session)


class ExampleScheduler(Scheduler[AppDef]):
    """Runs apps of one role on this machine; xrun refuses what `capabilities` does not name."""

    name = "example"

    def capabilities(self, options: Any) -> Capabilities:
        """One primary role without retries; output of one kind; found again by every process."""
        return Capabilities(
            multi_role=False,
            non_primary=False,
            elastic=False,
            retry_policies=frozenset(),
            ports=False,
            gpus=False,
            streams=frozenset({"combined"}),
            unused=frozenset({"image", "resource.devices", "resource.capabilities"}),
        )

    def build_request(self, app: AppDef, options: CommonOptions, app_id: str) -> AppDef:
        """The job itself."""
        return app

    def render(self, request: AppDef) -> str:
        """The job as YAML."""
        return to_yaml(request)

    def submit_request(self, info: AppDryRunInfo[AppDef]) -> bool:
        """Makes the folder under another name, locked, and renames it: whoever comes second finds it there."""
        _home().mkdir(parents=True, exist_ok=True)
        new, folder = Path(tempfile.mkdtemp(dir=_home(), prefix=".")), _home() / info.app_id
        (new / "app.json").write_text(json.dumps(_head(info, self.handle_of(info.app_id))))
        (new / "journal").touch()
        os.mkfifo(new / "stop")
        lock, stop = os.open(new / "lock", os.O_CREAT | os.O_RDWR), os.open(new / "stop", os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            new.rename(folder)
            command = [sys.executable, "-P", "-m", "xrun_example_scheduler.supervise", str(folder), str(stop)]
            with (folder / "supervisor.log").open("wb") as log:
                subprocess.run(
                    command, pass_fds=[lock, stop], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
                )
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            if not folder.exists():
                raise
            return False
        finally:
            os.close(lock)
            os.close(stop)
        return True

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """What the journals say."""
        return {app_id: _describe(app_id) for app_id in app_ids if (_home() / app_id / "app.json").exists()}

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Every folder."""
        folders = _home().iterdir() if _home().exists() else ()
        for there in self.describe_many([f.name for f in folders if not f.name.startswith(".")]).values():
            assert there.app is not None
            yield ListedApp(there.app_id, there.app.name, there.status.state, there.user, there.submitted)

    def cancel_existing(self, app_id: str) -> None:
        """A byte in the pipe; the supervisor holds the other end for as long as it lives."""
        with suppress(OSError):
            stop = os.open(_home() / app_id / "stop", os.O_WRONLY | os.O_NONBLOCK)
            os.write(stop, b"c")
            os.close(stop)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the folder."""
        there = (_home() / app_id).exists()
        shutil.rmtree(_home() / app_id, ignore_errors=True)
        return there

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """The output in the journal, which is in order of arrival."""
        chunks = _output(app_id, query)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks


def _output(app_id: str, query: LogQuery) -> Iterator[LogChunk]:
    told = not query.follow
    with (_home() / app_id / "journal").open("rb") as journal:
        while True:
            ended = is_terminal(_describe(app_id).status.state)  # before the reading, so that nothing can come after it
            for line in iter(journal.readline, b""):
                if not line.endswith(b"\n"):
                    journal.seek(-len(line), os.SEEK_CUR)
                    break
                event = json.loads(line)
                late = query.until is not None and event["time"] > query.until
                early = query.since is not None and event["time"] < query.since
                role, stream = event.get("role", ""), Stream.COMBINED
                if "out" in event and query.wants(role, event["k"], stream) and not late and not early:
                    yield LogChunk(role, event["k"], stream, event["time"], base64.b64decode(event["out"]))
            if ended or not query.follow:
                return
            if not told:
                yield CAUGHT_UP
                told = True
            time.sleep(_POLL)


def _describe(app_id: str) -> AppDescription:
    folder = _home() / app_id
    alive = _is_locked(folder / "lock")
    head = json.loads((folder / "app.json").read_text())
    app = from_dict(head["app"])
    name = app.roles[0].name
    replicas = [
        ReplicaStatus(k, AppState.PENDING, name, hostname=os.uname().nodename) for k in range(app.roles[0].num_replicas)
    ]
    status = AppStatus(AppState.PENDING, roles=[RoleStatus(name, replicas)], submitted=head["submitted"])
    for line in (folder / "journal").read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n") and b'"out":' not in line:
            _apply(json.loads(line), status)
    if not is_terminal(status.state) and not alive:
        status.state, status.msg = AppState.FAILED, "exit code unknown: supervisor killed"
    request, spec = head["request_id"], head["spec_hash"]
    return AppDescription(app_id, status, app, request, spec, head["user"], head["submitted"])


def _apply(event: Mapping[str, Any], status: AppStatus) -> None:
    replicas = status.roles[0].replicas
    if "k" not in event:
        status.state, status.msg = AppState[event["state"]], event.get("reason", "")
        if is_terminal(status.state):
            status.ended = event["time"]
            failed = event["failed"]
            status.structured_error_msg = replicas[failed[1]].structured_error_msg if failed else NONE
        return
    one = replicas[event["k"]]
    if "start" in event:
        one.state, one.native_id, one.started = AppState.RUNNING, str(event["start"]), event["time"]
        return
    one.state, one.error, one.ended = AppState[event["state"]], event["error"], event["time"]
    one.structured_error_msg = event["detail"] or NONE
    if event["code"] < 0:
        one.signal = signal.Signals(-event["code"]).name
    else:
        one.exit_code = event["code"]


def _head(info: AppDryRunInfo[AppDef], handle: str) -> dict[str, Any]:
    return {
        "app": to_dict(info.app),
        "app_id": info.app_id,
        "handle": handle,
        "request_id": info.request_id,
        "spec_hash": info.spec_hash,
        "user": getpass.getuser(),
        "submitted": time.time(),
        "cwd": os.getcwd(),
        **info.cfg,
    }


def _is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _home() -> Path:
    return Path(os.environ.get("XRUN_EXAMPLE_HOME") or Path(tempfile.gettempdir(), f"xrun-example-{os.getuid()}"))
