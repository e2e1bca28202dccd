"""Apps kept in folders: who finds them, what becomes of those that nobody looks after, and that secrets do not stay."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xrun.errors import BackendError, InvalidValue
from xrun.schedulers import folders
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Scheduler
from xrun.schedulers.folders import Folders
from xrun.schedulers.gang import CAPABILITIES
from xrun.schedulers.logs import LogChunk, LogQuery, Stream
from xrun.specs import AppDef, AppDryRunInfo, AppState, Role

WAITS = "trap 'exit 0' TERM; echo ready; sleep 60 & wait"


class Queue(Scheduler[AppDef]):
    """A queue that holds jobs until it is told to start them."""

    name = "queue"

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.waiting: dict[str, list[str]] = {}
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.asked = 0
        self.folders = Folders(root, self.alive)

    def alive(self) -> set[str]:
        self.asked += 1
        return {*self.waiting, *(app_id for app_id, process in self.started.items() if process.poll() is None)}

    def capabilities(self, options: Any) -> Any:
        return CAPABILITIES

    def build_request(self, app: AppDef, options: Any, app_id: str) -> AppDef:
        return app

    def submit_request(self, info: AppDryRunInfo[AppDef]) -> bool:
        with self.folders.new(info, self.handle_of(info.app_id)) as command:
            if command is not None:
                self.waiting[info.app_id] = command
        return command is not None

    def start(self, app_id: str) -> subprocess.Popen[bytes]:
        self.started[app_id] = subprocess.Popen(self.waiting[app_id])
        del self.waiting[app_id]
        return self.started[app_id]

    def describe_many(self, app_ids: Any) -> dict[str, AppDescription]:
        return self.folders.describe_many(app_ids)

    def list_ours(self, wanted: ListFilter) -> Iterator[ListedApp]:
        return self.folders.rows()

    def cancel_existing(self, app_id: str) -> None:
        self.folders.cancel(app_id)
        self.waiting.pop(app_id, None)

    def delete_existing(self, app_id: str) -> bool:
        return self.folders.remove(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        return self.folders.logs(app_id, query)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "apps")


def app(script: str, **fields: Any) -> AppDef:
    return AppDef("job", [Role("main", entrypoint="sh", args=["-c", script], **fields)])


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def state(queue: Queue, app_id: str) -> tuple[AppState, str]:
    there = queue.describe(app_id)
    assert there is not None
    return there.status.state, there.status.msg


def running(queue: Queue, script: str = WAITS, **fields: Any) -> tuple[str, subprocess.Popen[bytes]]:
    app_id = queue.submit(app(script, **fields), {"grace_period": 1})
    process = queue.start(app_id)
    assert next(queue.log_iter(app_id, "main", should_tail=True)) == "ready\n"
    return app_id, process


def test_a_job_waits_for_as_long_as_the_system_knows_it(queue: Queue) -> None:
    app_id = queue.submit(app("echo ran"), {})
    assert state(queue, app_id) == (AppState.PENDING, "")
    assert queue.start(app_id).wait(30) == 0
    assert state(queue, app_id) == (AppState.SUCCEEDED, "")
    assert list(queue.log_iter(app_id, "main")) == ["ran\n"]


def test_a_job_that_left_the_queue_by_itself_is_lost(queue: Queue) -> None:
    app_id = queue.submit(app("echo ran"), {})
    queue.waiting.clear()
    assert state(queue, app_id) == (AppState.FAILED, "lost before it began")
    row = queue.list()[0]
    assert (row.state, row.ended > 0) == (AppState.FAILED, True)


def test_a_cancelled_job_never_begins(queue: Queue) -> None:
    app_id = queue.submit(app("echo ran"), {})
    command = queue.waiting[app_id]
    queue.cancel(app_id)
    first = queue.describe(app_id)
    assert first is not None
    assert first.status.state == AppState.CANCELLED
    assert {k.state for k in first.status.roles[0].replicas} == {AppState.CANCELLED}
    assert queue.describe(app_id) == first
    subprocess.run(command)  # it was just being started
    assert state(queue, app_id)[0] == AppState.CANCELLED


def test_sigterm_from_the_system_is_a_cancel(queue: Queue) -> None:
    app_id, process = running(queue)
    process.terminate()
    assert process.wait(30) == 7
    assert state(queue, app_id) == (AppState.CANCELLED, "cancelled")


def test_a_killed_supervisor_is_noticed(queue: Queue) -> None:
    app_id, process = running(queue, "echo ready; exec sleep 60")
    there = queue.describe(app_id)
    assert there is not None
    process.kill()
    process.wait()
    try:
        assert state(queue, app_id) == (AppState.FAILED, "exit code unknown: supervisor killed")
        assert list(queue.log_iter(app_id, "main", should_tail=True)) == ["ready\n"]
    finally:
        os.killpg(int(there.status.roles[0].replicas[0].native_id), signal.SIGKILL)


def test_a_supervisor_that_breaks_says_why(queue: Queue, tmp_path: Path) -> None:
    app_id = queue.submit(app("echo ran"), {})
    (tmp_path / "apps" / app_id / folders.OUTPUT).unlink()
    assert queue.start(app_id).wait(30) == 1
    (tmp_path / "apps" / app_id / folders.OUTPUT).touch()
    found, message = state(queue, app_id)
    assert found == AppState.FAILED
    assert message.startswith("lost before it began: FileNotFoundError")


def test_the_system_is_asked_only_about_what_waits(queue: Queue) -> None:
    app_id, process = running(queue)
    queue.asked = 0
    assert state(queue, app_id)[0] == AppState.RUNNING
    queue.cancel(app_id)
    process.wait(30)
    assert state(queue, app_id)[0] == AppState.CANCELLED
    assert queue.asked == 0


def test_a_failed_hand_over_leaves_nothing(queue: Queue, tmp_path: Path) -> None:
    info = queue.submit_dryrun(app("true"), {})

    def hand_over() -> None:
        with queue.folders.new(info, "handle") as command:
            assert command
            assert state(queue, info.app_id) == (AppState.PENDING, "")
            raise RuntimeError("queue full")

    with pytest.raises(RuntimeError, match="queue full"):
        hand_over()
    assert list((tmp_path / "apps").iterdir()) == []
    assert queue.describe(info.app_id) is None


def test_the_second_of_two_gets_no_command(queue: Queue, tmp_path: Path) -> None:
    info = queue.submit_dryrun(app("true"), {})
    with queue.folders.new(info, "handle") as first, queue.folders.new(info, "handle") as second:
        assert first
        assert second is None
    assert [path.name for path in (tmp_path / "apps").iterdir()] == [info.app_id]


def test_a_root_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    queue = Queue(tmp_path / "file" / "apps")
    with pytest.raises(BackendError, match="can't make the job's folder") as refused:
        queue.submit(app("true"), {})
    assert refused.value.code == "XR095"


def test_secrets_are_private_and_gone_once_the_job_begins(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    app_id = queue.submit(app('[ "$MINE" = "s3c""r3t" ]', secrets={"MINE": "env:TOKEN"}), {})
    monkeypatch.delenv("TOKEN")
    folder = tmp_path / "apps" / app_id
    assert stat.S_IMODE((folder / folders.SECRETS).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert queue.start(app_id).wait(30) == 0
    assert not [path.name for path in folder.iterdir() if b"s3cr3t" in path.read_bytes()]


def test_a_cancelled_jobs_secrets_are_gone(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    app_id = queue.submit(app("true", secrets={"MINE": "env:TOKEN"}), {})
    queue.cancel(app_id)
    assert not (tmp_path / "apps" / app_id / folders.SECRETS).exists()


def test_a_secret_that_is_not_there_makes_no_folder(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="MINE"):
        queue.submit(app("true", secrets={"MINE": "env:NOT_SET_ANYWHERE"}), {})
    assert not (tmp_path / "apps").exists()


def test_a_detached_supervisor_outlives_who_started_it(queue: Queue) -> None:
    app_id = queue.submit(app(WAITS), {})
    assert subprocess.run([*queue.waiting.pop(app_id), "--detach"], timeout=30).returncode == 0
    assert next(queue.log_iter(app_id, "main", should_tail=True)) == "ready\n"
    queue.cancel(app_id)
    assert state(queue, app_id)[0] == AppState.CANCELLED


def test_options_and_handle_are_kept(queue: Queue) -> None:
    app_id = queue.submit(app("true"), {"grace_period": 3, "max_runtime": 50})
    there = queue.describe(app_id)
    assert there is not None
    assert there.handle == f"queue://default/{app_id}"
    assert (there.options["grace_period"], there.options["max_runtime"]) == (3, 50)


def test_chunks_are_read_back_only_when_they_are_all_there(tmp_path: Path) -> None:
    chunks = [LogChunk("main", 0, Stream.STDERR, 1.25, b"a\nb"), LogChunk("other", 12, Stream.STDOUT, 2.0, b"\n")]
    data = b"".join(map(folders.chunk_bytes, chunks))
    path = tmp_path / "output"
    for size in range(len(data) + 1):
        path.write_bytes(data[:size])
        with path.open("rb") as file:
            found = list(iter(lambda: folders.read_chunk(file), None))
            assert found == chunks[: len(found)]
            at = file.tell()
        assert data[:at] == b"".join(map(folders.chunk_bytes, found))
    assert found == chunks


def test_a_lock_is_held_by_children_that_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not folders.is_locked(path)
    lock = folders.take_lock(path)
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock])
    os.close(lock)
    assert folders.is_locked(path)
    child.communicate()
    until(lambda: not folders.is_locked(path))
