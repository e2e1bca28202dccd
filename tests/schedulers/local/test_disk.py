"""A disk that is full, a home that can't be written: said in one line, nothing lost, nothing running for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from xrun.schedulers.local import state
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.specs import AppState

from .conftest import cli, end_of, sh, until


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """XRUN_HOME on a file system of 512 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system takes root")
    monkeypatch.setenv("XRUN_HOME", str(disk / "home"))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_refuses_a_job_in_one_line(small_disk: Path) -> None:
    _fill(small_disk / "rubbish")
    done = cli("utils.echo")
    assert done.returncode == 4
    assert "No space left on device" in done.stderr
    assert "XRUN_HOME" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (small_disk / "rubbish").unlink()
    assert cli("utils.echo").returncode == 0
    assert os.listdir(small_disk / "home/local/live") == [], "nothing half-made is left"


def test_a_disk_that_fills_up_while_a_job_runs_loses_no_exit_code(small_disk: Path) -> None:
    scheduler = LocalScheduler()
    try:
        text = "while [ ! -e $0/go ]; do sleep 0.02; done; echo lost; exit 3"
        app_id = scheduler.submit(sh(text.replace("$0", str(small_disk)), max_retries=3), {})
        until(lambda: scheduler.describe(app_id).status.roles[0].replicas[0].native_id)  # type: ignore[union-attr]
        _fill(small_disk / "rubbish", but=8)
        (small_disk / "go").mkdir()
        _fill(small_disk / "rubbish")
        status = end_of(scheduler, app_id)
    finally:
        scheduler.close()
    assert status.state is AppState.FAILED
    assert status.roles[0].replicas[0].exit_code == 3
    assert status.num_restarts == 3
    assert cli("wait", f"local://default/{app_id}").returncode == 1


@pytest.mark.parametrize("home", ["/dev/null/home", "/proc/home"])
def test_an_unwritable_home_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("XRUN_HOME", home)
    done = cli("utils.echo")
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert home in done.stderr
    for verb in ("status", "wait", "log", "cancel", "delete"):
        assert cli(verb, "local://default/job-aaaaa").returncode == 5
    assert cli("list").returncode == 0


def test_events_that_do_not_fit_are_written_once_there_is_room(small_disk: Path) -> None:
    path = small_disk / "record"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    writer = state.begin(fd, {"app": {}}, 1)
    _fill(small_disk / "rubbish")
    for _ in range(2000):
        writer.write("later", text="x" * 40)
    assert not writer.flush()
    (small_disk / "rubbish").unlink()
    assert writer.flush()
    os.close(fd)
    assert path.read_bytes().count(b"\n") == 2001


def _fill(path: Path, but: int = 0) -> None:
    """Takes all the room there is, but for some KiB."""
    free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_bsize
    with path.open("ab", buffering=0) as file:
        try:
            left = free - but * 1024
            while left > 0:
                left -= file.write(b"x" * min(left, 4096))
        except OSError:
            pass
