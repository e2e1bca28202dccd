"""What every case works with: the programs, their environment, and how much to measure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import environments, measure
from benchmarks.measure import Command

PAYLOADS = Path(__file__).resolve().parent / "payloads"
PEERS = ("xrun", "floor", "torchx")
_UNSET = ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LOGLEVEL")


@dataclass
class Bench:
    """One run of the benchmarks.

    Attributes:
        work: a temporary folder: the home, the state and the working directory of everything that is measured.
        repeat: rounds of a short measurement; long ones get a third.
        quick: smaller jobs; figures for a look, not for quoting.
        idle_seconds: how long idle launchers are watched.
        torch_python_given: an interpreter that has torch.
    """

    work: Path
    repeat: int
    quick: bool
    idle_seconds: float
    torch_python_given: Path | None = None
    case: str = ""
    _pythons: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "bin", "torchx-logs"):
            (self.work / name).mkdir()

    @property
    def rounds(self) -> int:
        """Rounds of a measurement of a second or less."""
        return self.repeat

    @property
    def few_rounds(self) -> int:
        """Rounds of a longer one."""
        return max(1, self.repeat // 3)

    def tell(self, text: str) -> None:
        """Shows what is going on: on a terminal one line that changes, else nothing but the cases' names."""
        if sys.stderr.isatty():
            line = f"{self.case}: {text}" if text else ""
            sys.stderr.write("\r\033[K" + line[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()

    # --- programs --------------------------------------------------------------------------------------------------

    def python(self, peer: str = "xrun") -> Path:
        """The interpreter that has xrun, xrun with its extra docker or kubernetes, torchx or torch."""
        make: dict[str, Callable[[], Path]] = {
            "xrun": environments.xrun_python,
            "docker": lambda: environments.xrun_python("docker"),
            "kubernetes": lambda: environments.xrun_python("kubernetes"),
            "torchx": environments.torchx_python,
            "torch": lambda: environments.torch_python(self.torch_python_given),
        }
        if peer not in self._pythons:
            self._pythons[peer] = make[peer]()
        return self._pythons[peer]

    def launcher(self, peer: str, *words: str) -> Command:
        """``xrun`` or ``torchx`` with some words."""
        return [self.python(peer).parent / peer, *words]

    def submit(self, peer: str, component: str, *words: str) -> Command:
        """An attached run of a component on the local machine; the component's own arguments come last."""
        where = ["run", "-s", "local_cwd"] if peer == "torchx" else []
        if peer == "torchx":
            words = tuple(word for word in words if word != "--")
        return self.launcher(peer, *where, component, *words)

    def payload(self, name: str, *words: str, peer: str = "xrun") -> Command:
        """One of our own programs, under a peer's interpreter."""
        return [self.python(peer), PAYLOADS / name, *words]

    def driver(self, peer: str, action: str, *words: str) -> Command:
        """The program that uses the API of xrun or torchx, or does the same by hand (``floor``)."""
        return self.payload("driver.py", peer, action, *words, peer="torchx" if peer == "torchx" else "xrun")

    # --- measuring -------------------------------------------------------------------------------------------------

    def env(self, peer: str = "xrun", **more: str) -> dict[str, str]:
        """What a person has who activated the peer's environment, and a home of its own."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("XRUN_", "TORCHX", "PET_")) and k not in _UNSET
        }
        return {
            **kept,
            "PATH": f"{self.python(peer).parent}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self.work / "home"),
            "TMPDIR": str(self.work / "tmp"),
            "XRUN_HOME": str(self.work / "home" / "xrun"),
            "OMP_NUM_THREADS": "1",
            **more,
        }

    def run(self, command: Command, peer: str = "xrun", *, errors_kept: bool = True, **more: str) -> float:
        """Seconds that a command takes."""
        return measure.run(command, self.env(peer, **more), self.work, errors_kept=errors_kept)

    def ask(self, peer: str, action: str, *words: str) -> dict[str, Any]:
        """What the driver found."""
        of = "torchx" if peer == "torchx" else "xrun"
        return measure.answer(self.driver(peer, action, *words), self.env(of), self.work)

    def ask_in_turns(
        self, action: str, rounds: int, *words: str, peers: Sequence[str] = PEERS, key: str = "seconds"
    ) -> dict[str, list[float]]:
        """One of the driver's figures for several peers, in each round."""

        def task(peer: str) -> Callable[[], float]:
            return lambda: float(self.ask(peer, action, *words)[key])

        return measure.in_turns({peer: task(peer) for peer in peers}, rounds, self.tell)

    def peak_mib(self, command: Command, peer: str = "xrun") -> float:
        """The most memory that a command has in use."""
        return measure.peak_mib(command, self.env(peer), self.work)

    def time_in_turns(
        self, commands: Mapping[str, Command], rounds: int, *, errors_kept: bool = True, **more: str
    ) -> dict[str, list[float]]:
        """Seconds of each command in each round; the one named torchx runs in that environment."""

        def task(name: str, command: Command) -> Callable[[], float]:
            peer = "torchx" if name == "torchx" else "xrun"
            return lambda: self.run(command, peer, errors_kept=errors_kept, **more)

        return measure.in_turns({name: task(name, command) for name, command in commands.items()}, rounds, self.tell)

    def stop_jobs(self) -> None:
        """Cancels what an interrupted case left running in our own home."""
        if "xrun" not in self._pythons or not (self.work / "home" / "xrun").exists():
            return
        env = self.env()
        states = ["--state", "RUNNING", "--state", "PENDING"]
        listed = subprocess.run(
            [str(w) for w in self.launcher("xrun", "list", "--json", *states)],
            env=env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        apps = json.loads(listed.stdout)["apps"] if listed.returncode == 0 else []
        for app in apps:
            command = [str(w) for w in self.launcher("xrun", "cancel", app["handle"])]
            subprocess.run(command, env=env, capture_output=True, timeout=60, check=False)
