"""A Slurm cluster of four nodes on this machine, with daemons that can be ended and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("slurm")
NODES = ("n1", "n2", "n3", "n4")
"""Their names, which don't resolve; they are reached at 127.77.0.1 to 127.77.0.4."""

_SBIN = "/usr/sbin:/sbin"


class SlurmCluster(NamedTuple):
    """A cluster.

    Attributes:
        folder: what belongs to it: slurm.conf, logs, ``mail`` (what it would have sent).
        accounting: whether it keeps ended jobs.
    """

    folder: Path
    accounting: bool

    @property
    def env(self) -> dict[str, str]:
        """The variables by which Slurm's commands find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def command(self, *words: str, timeout: float = 60) -> str:
        """What one of Slurm's commands says."""
        env = {**os.environ, **self.env}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def start(self, *daemons: str) -> None:
        """Starts munged, slurmdbd, slurmctld or the slurmd of n1 to n4, and returns when it answers."""
        self._do("start", *daemons)

    def stop(self, *daemons: str) -> None:
        """Ends daemons as a shutdown does, so that slurmctld saves what it knows; jobs go on."""
        self._do("stop", *daemons)

    def kill(self, *daemons: str) -> None:
        """Ends daemons by SIGKILL; a node's with all that its jobs run there.

        A slurmctld forgets by this what it was told in the last five seconds, as any does; see `saved`.
        """
        self._do("kill", *daemons)

    def saved(self) -> None:
        """Returns when slurmctld has written down all that it knows now."""
        now, end = time.time(), time.monotonic() + 30
        while (self.folder / "state/job_state").stat().st_mtime <= now:
            assert time.monotonic() < end, "the controller saves nothing"
            # it writes when something has changed
            job = self.command("sbatch", "--parsable", "--hold", "--job-name=nothing", "--wrap=true").strip()
            self.command("scancel", job)
            time.sleep(0.2)

    def lose(self, node: str) -> None:
        """A node dies, and the cluster knows it at once (by itself it does after SlurmdTimeout)."""
        self.kill(node)
        self.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def restore(self, node: str) -> None:
        """The node is back."""
        self.start(node)
        with suppress(AssertionError):  # a slurmd that has just registered has done it already
            self.command("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def _do(self, verb: str, *daemons: str) -> None:
        done = subprocess.run([SCRIPT, verb, self.folder, *daemons], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


def lacking(accounting: bool) -> str:
    """What this machine lacks to start one; empty if nothing."""
    programs = ["munged", "munge", "slurmctld", "slurmd", "sbatch"]
    programs += ["slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db"] * accounting
    path = f"{os.environ.get('PATH', '')}:{_SBIN}"
    missing = [name for name in programs if not shutil.which(name, path=path)]
    return f"a Slurm cluster needs {', '.join(missing)}" if missing else ""


@contextmanager
def started(accounting: bool, extra: str = "") -> Iterator[SlurmCluster]:
    """A cluster, until the block is left.

    Args:
        accounting: whether it keeps ended jobs.
        extra: more lines for slurm.conf.
    """
    folder = Path(tempfile.mkdtemp(prefix="xrun-slurm-", dir="/tmp"))  # a socket's name must be short
    folder.chmod(0o755)
    env = {**os.environ, "XRUN_SLURM_ACCOUNTING": str(int(accounting)), "XRUN_SLURM_EXTRA": extra}
    try:
        for last in (False, True):
            up = subprocess.run([SCRIPT, "up", folder], env=env, capture_output=True, text=True, timeout=240)
            if up.returncode == 0:
                break
            assert not last, up.stderr + "".join(log.read_text()[-1000:] for log in sorted(folder.glob("*.log")))
            # somebody else took a port in between
            subprocess.run([SCRIPT, "down", folder], capture_output=True, timeout=120)
            for left in folder.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield SlurmCluster(folder, accounting)
    finally:
        subprocess.run([SCRIPT, "down", folder], capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)
