"""The launcher may be killed at any moment: the job is there once or not at all, and it goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.specs import AppState

from .conftest import end_of, processes_of, until

ROUNDS = int(os.environ.get("XRUN_SOAK_ROUNDS", "8"))


def test_sigkill_of_the_launcher_at_random_moments(local: LocalScheduler, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    for round_ in range(ROUNDS):
        ran = tmp_path / f"ran-{round_}"
        words = ["--request-id", f"round-{round_}", "utils.sh", "--", f"echo x >> {ran}; sleep 0.3; exit 7"]
        launcher = subprocess.Popen(
            [sys.executable, "-m", "xrun", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0, 0.25))
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        # the same request again finds the job or makes it
        again = subprocess.run(
            [sys.executable, "-m", "xrun", "--detach", *words], capture_output=True, text=True, timeout=60, check=False
        )
        assert again.returncode == 0, f"seed {seed}: {again.stderr}"
        app_id = again.stdout.strip().rpartition("/")[2]
        status = end_of(local, app_id)
        assert status.state is AppState.FAILED, f"seed {seed}"
        assert status.roles[0].replicas[0].exit_code == 7, f"seed {seed}"
        assert ran.read_text() == "x\n", f"seed {seed}: not exactly once"
        until(partial(_is_over, app_id))
    assert len(local.list()) == ROUNDS


def test_a_closed_terminal_leaves_the_job(local: LocalScheduler, tmp_path: Path) -> None:
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        text = f"sleep 0.5; echo done > {tmp_path}/done"
        os.execv(sys.executable, [sys.executable, "-m", "xrun", "utils.sh", "--", text])
    until(local.list)
    os.close(terminal)  # the kernel hangs up on the launcher
    os.waitpid(pid, 0)
    assert end_of(local, local.list()[0].app_id).state is AppState.SUCCEEDED
    assert (tmp_path / "done").exists()


def _is_over(app_id: str) -> bool:
    return processes_of(app_id) == []
