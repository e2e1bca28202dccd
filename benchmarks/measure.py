"""Running programs and taking their time, memory and CPU.

Commands that are compared run in turns, A B C A B C, after one round that isn't counted: whatever disturbs the machine
meets them all, and what is quoted is the median of the ratios or differences within the rounds.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.report import Figure

Command = Sequence[str | Path]
Env = Mapping[str, str]

TIME_LIMIT = 180.0
_PEAK = (
    "import os, resource, sys; "
    "pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ); "
    "_, status, used = os.wait4(pid, 0); "
    "open(sys.argv[1], 'w').write(str(used.ru_maxrss)); "
    "sys.exit(os.waitstatus_to_exitcode(status) & 255)"
)


class Failed(Exception):
    """A program that is measured did not do what it should."""


def run(command: Command, env: Env, cwd: Path, *, errors_kept: bool = True) -> float:
    """Runs a command to its end, its output thrown away.

    Args:
        command: the command.
        env: its environment.
        cwd: where it runs.
        errors_kept: keep its stderr, to show if it fails; not for a program that writes much there.

    Returns:
        Seconds from its start to its end.

    Raises:
        Failed: it failed, or took more than `TIME_LIMIT` seconds.
    """
    with tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        stderr = errors if errors_kept else subprocess.DEVNULL
        with started(command, env, cwd, stdout=subprocess.DEVNULL, stderr=stderr) as process:
            code = _wait(process, command)
            seconds = time.perf_counter() - begin
        if code:
            errors.seek(0)
            raise Failed(f"{_text(command)} exited {code}: {_last(errors.read())}")
    return seconds


def output(command: Command, env: Env, cwd: Path) -> str:
    """What a command prints on its stdout.

    Raises:
        Failed: it failed, or took more than `TIME_LIMIT` seconds.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with started(command, env, cwd, stdout=out, stderr=errors) as process:
            code = _wait(process, command)
        out.seek(0)
        errors.seek(0)
        if code:
            raise Failed(f"{_text(command)} exited {code}: {_last(errors.read())}")
        return out.read().decode()


def answer(command: Command, env: Env, cwd: Path) -> dict[str, Any]:
    """What `payloads/driver.py` has to say: the JSON object in the file that its first argument names."""
    with tempfile.NamedTemporaryFile(dir=cwd, suffix=".json") as file:
        run([*command[:2], file.name, *command[2:]], env, cwd)
        told: dict[str, Any] = json.loads(file.read())
        return told


def peak_mib(command: Command, env: Env, cwd: Path) -> float:
    """The most memory that a command had in use, MiB.

    A process is charged for what its parent had in use when it was forked, so a bare interpreter starts it.
    """
    with tempfile.NamedTemporaryFile(dir=cwd, suffix=".rss") as file:
        run([sys.executable, "-I", "-S", "-c", _PEAK, file.name, *command], env, cwd)
        return int(file.read()) / 1024


def in_turns(
    tasks: Mapping[str, Callable[[], float]], rounds: int, tell: Callable[[str], None]
) -> dict[str, list[float]]:
    """Does several things in turns, once without counting.

    Args:
        tasks: name -> what to do; it returns the figure.
        rounds: how often.
        tell: called with what is going on.

    Returns:
        name -> the figure of each round.
    """
    figures: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            tell(f"{name}, {f'round {number} of {rounds}' if number else 'warming up'}")
            figure = task()
            if number:
                figures[name].append(figure)
    return figures


def medians(samples: Mapping[str, Sequence[float]], scale: float = 1.0) -> dict[str, Figure]:
    """The median of each."""
    return {name: median(found, scale) for name, found in samples.items()}


def median(samples: Sequence[float], scale: float = 1.0) -> Figure:
    """The median, and all samples."""
    scaled = tuple(sample * scale for sample in samples)
    return Figure(statistics.median(scaled), samples=scaled)


def ratio(samples: Sequence[float], base: Sequence[float]) -> Figure:
    """The median of the ratios within the rounds, the milliseconds beside it."""
    ratios = tuple(a / b for a, b in zip(samples, base, strict=True))
    return Figure(statistics.median(ratios), f"{statistics.median(samples) * 1000:.0f} ms", ratios)


def difference(samples: Sequence[float], base: Sequence[float], scale: float) -> Figure:
    """The median of the differences within the rounds."""
    return median([a - b for a, b in zip(samples, base, strict=True)], scale)


@contextmanager
def started(
    command: Command, env: Env, cwd: Path, *, stdout: int | IO[bytes], stderr: int | IO[bytes] = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program; asks it to stop when the block is left, and ends it if it doesn't."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # a Ctrl-C is ours; we ask the program to stop
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path("/proc", name, "stat").read_bytes()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def is_python(pid: int) -> bool:
    """Whether a process runs the interpreter: launchers and supervisors do, the jobs measured here don't."""
    try:
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, to the nanosecond: its CPU clock, see clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def wake_ups(pid: int) -> int:
    """How often a process's threads were woken so far."""
    total = 0
    for task in Path("/proc", str(pid), "task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def _wait(process: subprocess.Popen[bytes], command: Command) -> int:
    # Popen.wait with a time limit looks only now and then, up to 50 ms apart; the kernel tells at once
    handle = os.pidfd_open(process.pid)
    try:
        if not select.select([handle], [], [], TIME_LIMIT)[0]:
            raise Failed(f"{_text(command)} did not end within {TIME_LIMIT:.0f} s")
    finally:
        os.close(handle)
    return process.wait()


def _text(command: Command) -> str:
    return " ".join(str(word) for word in command)[:200]


def _last(errors: bytes) -> str:
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "(it said nothing)"
