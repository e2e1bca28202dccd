"""The main example: to the end, and with a worker killed half-way; its page is run by tests/docs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "ddp" / "train.py"

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("torch")]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A program of this test's Python, in a folder, with that Python first on PATH as in an active environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "XRUN_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Its stdout, once it has exited 0."""
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, f"exit {process.returncode}\n{stdout}\n{stderr}"
    return stdout


def losses(text: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"epoch \d+/\d+ loss (\d+\.\d+)", text)]


def accuracy(text: str) -> float:
    found = re.findall(r"held-out accuracy (\d\.\d+) on 359 scans", text)
    assert len(found) == 1, text
    return float(found[0])


def test_resumes_after_a_killed_worker(tmp_path: Path) -> None:
    words = ["dist.ddp", "-j", "1x2", "--max_retries", "1", "--script", str(SCRIPT), "--", "--epochs", "80"]
    checkpoint = tmp_path / "checkpoints" / "ddp-digits" / "checkpoint.pt"
    process = start(tmp_path, "-m", "xrun", *words)
    wait_for(checkpoint, process)
    os.kill(workers(tmp_path)[0], signal.SIGKILL)
    stdout = finish(process)

    resumed = re.findall(r"resumed from epoch (\d+)", stdout)
    assert len(resumed) == 1, stdout
    assert 1 <= int(resumed[0]) < 80
    assert f"epoch {int(resumed[0]) + 1}/80 " in stdout.partition("resumed from")[2]
    assert accuracy(stdout) > 0.95
    listed = subprocess.run(
        [sys.executable, "-m", "xrun", "list"],
        env={**os.environ, "XRUN_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "SUCCEEDED" in listed.stdout


def test_demo(tmp_path: Path) -> None:
    """What a newcomer types first; set up it is already."""
    done = subprocess.run(
        [ROOT / "scripts/demo", "--checkpoint-dir", tmp_path / "checkpoints"],
        env={**os.environ, "XRUN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCEEDED after" in done.stderr
    assert len(losses(done.stdout)) == 15
    assert losses(done.stdout)[-1] < losses(done.stdout)[0] / 5
    assert accuracy(done.stdout) > 0.95
    assert [p.name for p in (tmp_path / "checkpoints").rglob("*.pt")] == ["model.pt"]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, f"ended before {path.name} was there: {process.communicate()}"
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


def workers(folder: Path) -> list[int]:
    """The processes that train in this folder, those with a rank: not torchrun, which starts them."""
    return sorted(pid for pid, environ in environments() if ranked_in(environ, pid, folder))


def ranked_in(environ: bytes, pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return b"\0LOCAL_RANK=" in b"\0" + environ and Path(f"/proc/{pid}/cwd").readlink() == folder
    return False


def environments() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "environ").read_bytes()
