"""The history: whole whatever happens to its writers, and never in a job's way."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from tests.helpers import git
from xrun.runner import Runner, database, filesystems, get_runner, recorder
from xrun.runner.gitinfo import GitInfo, GitQuery
from xrun.runner.history import FILE, Query, Seen, Submission
from xrun.specs import AppDef, AppState, Role, Workspace, to_dict

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "6"))
SUBMIT = "from xrun.runner import get_runner\nwith get_runner() as r: r.run_component('utils.echo', {'msg': 'hi'})\n"


@pytest.fixture
def runner(xrun_home: Path) -> Iterator[Runner]:
    """A runner with a fresh home."""
    with get_runner() as runner:
        yield runner


def app(name: str = "job", text: str = "true") -> AppDef:
    return AppDef(name, [Role("main", entrypoint="sh", args=["-c", text], secrets={"KEY": "env:HISTORY_SECRET"})])


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no history may hold."""
    monkeypatch.setenv("HISTORY_SECRET", "hunter2")


def rows(home: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(home / FILE)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT handle, state FROM jobs ORDER BY id").fetchall()
    finally:
        connection.close()


def kept(runner: Runner, handle: str) -> Submission:
    found = runner.history.get(handle)
    assert found is not None, runner.notices
    return found


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_all_of_a_submission(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep.py", "--lr", "0.1"])
    args = {"msg": "hi", "num_replicas": 2}
    handle = runner.run_component("utils.echo", args, "local", {"grace_period": "3"}, request_id="ci-1")
    first = kept(runner, handle)
    assert (first.handle, first.scheduler, first.name) == (handle, "local", "echo")
    assert (first.component, first.args, first.cfg) == ("utils.echo", args, {"grace_period": "3"})
    assert (first.command, first.folder) == (["sweep.py", "--lr", "0.1"], str(tmp_path))
    assert (first.request_id, len(first.spec_hash)) == ("ci-1", 64)
    assert first.options["grace_period"] == 3.0
    assert first.app == to_dict(runner.describe(handle))  # type: ignore[arg-type]
    assert first.python == sys.version.split()[0]
    assert (first.git_commit, first.git_dirty) == (None, None), "not in a work tree"
    assert abs(time.time() - first.submitted) < 60
    end = runner.wait(handle, timeout=60)
    assert end is not None
    last = kept(runner, handle)
    assert (last.state, last.ended, last.message) == ("SUCCEEDED", end.ended, end.msg)
    assert first._replace(state=last.state, ended=last.ended) == last


def test_words_or_values_and_what_cant_be_kept(runner: Runner) -> None:
    class Colour(Enum):
        RED = "red"

    def plain(args: object, workspace: Workspace | str | None = None) -> object:
        info = runner.dryrun(app())
        info.origin = info.origin._replace(component="x.py:f", args=args, workspace=workspace)  # type: ignore[arg-type]
        return recorder.submission(info, "local://default/a", GitInfo()).args

    assert plain(["--a", "b"]) == ["--a", "b"]
    assert plain({"a": Path("/x"), "b": Colour.RED, "c": [1, (2.0, None)], "d": {"e": True}}) == {
        "a": "/x",
        "b": "red",
        "c": [1, [2.0, None]],
        "d": {"e": True},
    }
    assert plain({"a": object()}) is None, "an object can't be had back from its text"
    assert plain(["a"], Workspace({"/a": "b", "/c": ""})) == ["a"]
    assert plain(["a"], Workspace({"/a,b": ""})) is None


def test_the_file_is_the_users_alone_and_holds_no_secret(runner: Runner, xrun_home: Path) -> None:
    before = os.umask(0)
    try:
        handle = runner.run(app())
    finally:
        os.umask(before)
    assert kept(runner, handle).app["roles"][0]["secrets"] == {"KEY": "env:HISTORY_SECRET"}
    runner.wait(handle)
    runner.close()
    for path in xrun_home.glob(f"{FILE}*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert b"hunter2" not in path.read_bytes()


def test_the_same_request_keeps_the_first_row(runner: Runner) -> None:
    handle = runner.run(app(), request_id="once")
    runner.wait(handle)
    first = kept(runner, handle)
    with get_runner() as other:
        assert other.run(app(), request_id="once") == handle
        assert kept(other, handle) == first


def test_a_job_that_is_made_anew_begins_a_new_row(runner: Runner, xrun_home: Path) -> None:
    handle = runner.run(app(), request_id="again")
    runner.wait(handle)
    assert runner._target("local").delete_existing(handle.rpartition("/")[2]), "as somebody else would delete it"
    with get_runner() as other:
        other.run(app(), request_id="again")
        assert kept(other, handle).state == "SUBMITTED"
    assert len(rows(xrun_home)) == 1


def test_delete_leaves_nothing(runner: Runner) -> None:
    handle = runner.run(app())
    runner.delete(handle)
    assert runner.history.get(handle) is None


def test_delete_forgets_what_its_system_has_forgotten(runner: Runner) -> None:
    handle = runner.run(app())
    runner.wait(handle)
    runner._target("local").delete_existing(handle.rpartition("/")[2])
    runner.delete(handle)
    assert runner.history.get(handle) is None


def test_any_look_at_a_job_that_has_ended_keeps_its_verdict(runner: Runner) -> None:
    handle = runner.run(app(text="exit 3"))
    with get_runner() as other:
        other.wait(handle)
    runner.history.seen([Seen(handle, "RUNNING")])
    assert kept(runner, handle).state == "FAILED", "a verdict stays"
    assert runner.status(handle).state is AppState.FAILED  # type: ignore[union-attr]
    assert "exit 3" in kept(runner, handle).message


def test_recent(runner: Runner) -> None:
    one = recorder.submission(runner.dryrun(app("one")), "local://default/one-aaaaa", GitInfo("c" * 40, dirty=False))
    two = one._replace(handle="memory://prod/two-aaaaa", scheduler="memory", name="two", submitted=one.submitted + 9)
    odd = one._replace(handle="local://default/odd-aaaaa", name="a\udc80\0b", user="eve", submitted=one.submitted - 9)
    for job in (one, two, odd):
        runner.history.record(job, new=True)

    def names(**wanted: object) -> list[str]:
        return [row.name for row in runner.history.recent(Query(**wanted))]  # type: ignore[arg-type]

    assert names() == ["two", "one", "a\\udc80\0b"]
    assert names(user=one.user) == ["two", "one"]
    assert names(name="a\udc80\0b") == ["a\\udc80\0b"]
    assert names(schedulers=("local",)) == ["one", "a\\udc80\0b"]
    assert names(since=one.submitted) == ["two", "one"]
    assert runner.history.get(one.handle) == one


def test_git(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    monkeypatch.chdir(tree)
    git(tree, "init", "-q")
    empty = runner.run(app())
    runner.close()
    assert kept(runner, empty).git_commit is None
    (tree / "a").write_text("1")
    git(tree, "add", "a")
    git(tree, "commit", "-qm", "a")
    states = []
    for text in ("1", "2"):
        (tree / "a").write_text(text)
        with get_runner() as fresh:
            handle = fresh.run(app())
        states.append((kept(runner, handle).git_commit, kept(runner, handle).git_dirty))
    commit = git(tree, "rev-parse", "HEAD")
    assert states == [(commit, False), (commit, True)]
    monkeypatch.setenv("PATH", "/nowhere")
    with get_runner() as fresh:
        handle = fresh.run(AppDef("a", [Role("r", entrypoint="/bin/true")]))
        assert fresh.notices == []
    assert kept(runner, handle).git_commit is None


def test_a_git_that_hangs_holds_nobody_up(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho '# branch.oid {'a' * 40}'\nexec sleep 300\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    handle = runner.run(app())
    assert runner.wait(handle) is not None
    assert kept(runner, handle).git_commit is None
    runner.close()
    assert time.monotonic() - began < 20
    assert (kept(runner, handle).git_commit, kept(runner, handle).git_dirty) == ("a" * 40, None)


def test_nothing_is_left_of_a_git_that_nobody_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, told = tmp_path / "git", tmp_path / "pid"
    fake.write_text(f"#!/bin/sh\necho $$ > {told}.new; mv {told}.new {told}\nexec sleep 300\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = len(os.listdir("/proc/self/fd"))
    query = GitQuery()
    end = time.monotonic() + 20
    while not told.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    del query
    assert not Path("/proc", told.read_text().strip()).exists()
    assert len(os.listdir("/proc/self/fd")) == before


# --- many at once ----------------------------------------------------------------------------------------------------


def test_fifty_processes_at_once(xrun_home: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SUBMIT], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(50)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 50, errors
    found = rows(xrun_home)
    assert len(found) == len({handle for handle, _ in found}) == 50
    apps = {f"local://default/{name}" for name in os.listdir(xrun_home / "local/apps")}
    assert {handle for handle, _ in found} == apps


def test_threads_share_a_runner(runner: Runner, xrun_home: Path) -> None:
    def submit() -> None:
        for _ in range(5):
            runner.wait(runner.run(app()))

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [state for _, state in rows(xrun_home)] == ["SUCCEEDED"] * 40
    assert runner.notices == []


def test_forks_of_a_runner(runner: Runner, xrun_home: Path) -> None:
    runner.run(app())
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for _ in range(5):
                    runner.run(app())
                code = len(runner.notices)
            finally:
                os._exit(code)
        children.append(pid)
    for _ in range(5):
        runner.run(app())
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len(rows(xrun_home)) == 1 + 5 * 5
    assert runner.notices == []


def test_killed_at_random_moments(xrun_home: Path) -> None:
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    text = (
        "from xrun.runner import get_runner\nfrom xrun.runner.recorder import submission\n"
        "from xrun.runner.gitinfo import GitInfo\nimport sys\n"
        "r = get_runner()\njob = submission(r.dryrun_component('utils.echo', []), 'local://a/b', GitInfo())\n"
        "for n in range(10**9):\n"
        "    r.history.record(job._replace(handle=f'local://{sys.argv[1]}/echo-{n}'), new=True)\n"
        "    print(n, flush=True)\n"
    )
    told = 0
    for round_ in range(ROUNDS):
        processes = [
            subprocess.Popen([sys.executable, "-c", text, f"r{round_}-{k}"], stdout=subprocess.PIPE) for k in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            if round_ % 2:  # in the middle of much writing; else perhaps while the file is made
                process.stdout.readline()
                told += 1
            time.sleep(rng.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            told += len(process.communicate()[0].splitlines())
    with get_runner() as runner:
        handle = runner.run(app())
        runner.wait(handle)
        assert runner.notices == [], f"seed {seed}"
    assert len(rows(xrun_home)) >= told + 1, f"seed {seed}: what was recorded is there"
    assert [path.name for path in xrun_home.glob(f"{FILE}.*") if path.suffix != ".lock"] == [], f"seed {seed}"


# --- nothing stops a job ---------------------------------------------------------------------------------------------


def end_of(runner: Runner, handle: str) -> AppState:
    end = runner.wait(handle, timeout=60)
    assert end is not None
    return end.state


@pytest.mark.parametrize("damage", ["rubbish", "other", "middle"])
def test_a_damaged_file_is_set_aside_once(xrun_home: Path, damage: str) -> None:
    with get_runner() as runner:
        for _ in range(30):
            runner.run(app())
    path = xrun_home / FILE
    if damage == "rubbish":
        path.write_bytes(b"\0rubbish" * 1000)
    elif damage == "other":
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE jobs (a)")
        connection.close()
    else:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
    notices = []
    for _ in range(3):
        with get_runner() as runner:
            handle = runner.run(app())
            assert end_of(runner, handle) is AppState.SUCCEEDED
            notices += runner.notices
    assert len(notices) == 1
    assert "was damaged" in notices[0]
    assert rows(xrun_home) == [(row[0], "SUCCEEDED") for row in rows(xrun_home)]
    assert len(rows(xrun_home)) == 3
    assert len([p for p in xrun_home.glob(f"{FILE}.damaged-*") if p.name.count("-") == 2]) == 1


def test_many_find_the_damage_and_one_sets_it_aside(xrun_home: Path) -> None:
    xrun_home.mkdir()
    (xrun_home / FILE).write_bytes(b"rubbish" * 1000)
    text = SUBMIT + "print(*r.notices, sep='\\n', end='')\n"
    processes = [subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) for _ in range(12)]
    said = "".join(process.communicate(timeout=100)[0] for process in processes)
    assert said.count("was damaged") == 1
    assert len(rows(xrun_home)) == 12


def test_a_newer_file_is_left_alone(runner: Runner, xrun_home: Path) -> None:
    xrun_home.mkdir()
    connection = sqlite3.connect(xrun_home / FILE)
    connection.execute("PRAGMA user_version=99")
    connection.execute("CREATE TABLE other (a)")
    connection.close()
    before = (xrun_home / FILE).read_bytes()
    for _ in range(2):
        assert end_of(runner, runner.run(app())) is AppState.SUCCEEDED
    assert len(runner.notices) == 1
    assert "newer xrun" in runner.notices[0]
    assert (xrun_home / FILE).read_bytes() == before


def test_an_empty_file_becomes_one(runner: Runner, xrun_home: Path) -> None:
    xrun_home.mkdir()
    (xrun_home / FILE).touch()
    runner.run(app())
    assert runner.notices == []
    assert len(rows(xrun_home)) == 1


def test_somebody_holds_the_lock(runner: Runner, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runner.run(app())
    runner.close()
    monkeypatch.setattr(database, "BUSY", 0.05)
    holder = sqlite3.connect(xrun_home / FILE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    for _ in range(5):
        assert end_of(runner, runner.run(app())) is AppState.SUCCEEDED
    assert time.monotonic() - began < 20
    assert len(runner.notices) == 1
    assert "locked" in runner.notices[0]
    holder.close()
    monkeypatch.setattr(recorder, "_PAUSE", 0)
    runner._recorder._next_try = 0
    last = runner.run(app())
    assert {handle for handle, _ in rows(xrun_home)} == {first, last}
    assert len(runner.notices) == 1, "it is told once"


def test_a_home_where_it_cant_be_made(runner: Runner, xrun_home: Path) -> None:
    xrun_home.mkdir()
    (xrun_home / f"{FILE}.lock").mkdir()
    assert end_of(runner, runner.run(app())) is AppState.SUCCEEDED
    assert len(runner.notices) == 1
    assert "Is a directory" in runner.notices[0]


def test_a_read_only_home_and_an_unwritable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root")
    try:
        monkeypatch.setenv("XRUN_HOME", str(disk))
        with get_runner() as runner:
            handle = runner.run(app())
            runner.wait(handle)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with get_runner() as runner:
            assert end_of(runner, runner.run(app(), "memory")) is AppState.SUCCEEDED
            assert len(runner.notices) == 1
            assert kept(runner, handle).state == "SUCCEEDED", "it can be read"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system takes root")
    try:
        monkeypatch.setenv("XRUN_HOME", str(disk))
        for begun in (False, True):
            with open(disk / "rubbish", "wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            with get_runner() as runner:
                for _ in range(30):
                    assert end_of(runner, runner.run(app(), "memory")) is AppState.SUCCEEDED
                assert len(runner.notices) == 1, begun
                assert "full" in runner.notices[0] or "space" in runner.notices[0] or "disk I/O" in runner.notices[0]
            (disk / "rubbish").unlink()
            with get_runner() as runner:
                handle = runner.run(app(), "memory")
                assert kept(runner, handle).name == "job"
        assert rows(disk)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_home_deleted_under_a_runner(runner: Runner, xrun_home: Path) -> None:
    first = runner.run(app())
    runner.wait(first)
    subprocess.run(["rm", "-r", str(xrun_home)], check=True)
    second = runner.run(app())
    assert end_of(runner, second) is AppState.SUCCEEDED
    assert [handle for handle, _ in rows(xrun_home)] == [second]
    assert runner.notices == []


def test_a_history_deleted_while_jobs_live(runner: Runner, xrun_home: Path) -> None:
    live = runner.run(app(text="exec sleep 300"))
    (xrun_home / FILE).unlink()  # its WAL stays, as when a person deletes the one file
    other = runner.run(app())
    assert end_of(runner, other) is AppState.SUCCEEDED
    assert [handle for handle, _ in rows(xrun_home)] == [other]
    runner.cancel(live)
    assert end_of(runner, live) is AppState.CANCELLED
    runner.delete(live)
    assert runner.notices == []


def test_nothing_of_the_history_that_fails_reaches_the_caller(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "to_dict", lambda app: json.loads("["))
    assert end_of(runner, runner.run(app())) is AppState.SUCCEEDED
    assert len(runner.notices) == 1


# --- file systems ----------------------------------------------------------------------------------------------------

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /home rw - nfs4 server:/home rw
41 22 0:36 / /home/me/with\\040space rw - tmpfs tmpfs rw
42 40 0:37 / /home/you rw master:1 - fuse.sshfs you@host: rw
43 22 0:38 / /late rw - ext4 /dev/vdb rw
44 22 0:39 / /late rw - cifs //server/late rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/homes/me", "ext4"),
        ("/home", "nfs4"),
        ("/home/me/.local", "nfs4"),
        ("/home/me/with space/x", "tmpfs"),
        ("/home/you/x", "fuse.sshfs"),
        ("/late/x", "cifs"),
    ],
)
def test_the_kind_of_a_file_system(folder: str, kind: str) -> None:
    assert filesystems.kind_of(folder, MOUNTS) == kind
    assert filesystems.kind_of(folder, "") == ""


@pytest.mark.parametrize(
    ("kind", "mode"), [("ext4", "wal"), ("nfs4", "delete"), ("lustre", "delete"), ("9p", "delete")]
)
def test_a_wal_only_where_memory_is_shared(
    runner: Runner, xrun_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    (tmp_path / "mountinfo").write_text(f"1 1 0:1 / / rw - {kind} x rw\n")
    monkeypatch.setattr(filesystems, "MOUNTINFO", str(tmp_path / "mountinfo"))
    handle = runner.run(app())
    assert end_of(runner, handle) is AppState.SUCCEEDED
    assert (xrun_home / f"{FILE}-wal").exists() == (mode == "wal")
    connection = sqlite3.connect(xrun_home / FILE)
    assert connection.execute("PRAGMA journal_mode").fetchone() == (mode,)
    connection.close()
    (tmp_path / "mountinfo").write_text("1 1 0:1 / / rw - nfs x rw\n")
    runner.close()
    with get_runner() as other:
        other.run(app())
        assert other.notices == []
    assert not (xrun_home / f"{FILE}-wal").exists(), "a file from elsewhere leaves its WAL"
    assert len(rows(xrun_home)) == 2


def test_no_mountinfo_no_wal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert filesystems.is_local(str(tmp_path)) or "ext4" not in Path("/proc/self/mountinfo").read_text()
    monkeypatch.setattr(filesystems, "MOUNTINFO", str(tmp_path / "none"))
    assert not filesystems.is_local(str(tmp_path))
