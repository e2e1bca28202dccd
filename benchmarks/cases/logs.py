"""What a job printed, and how soon and how fast it is shown."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import measure
from benchmarks.bench import PAYLOADS, PEERS, Bench
from benchmarks.measure import Command, in_turns, medians
from benchmarks.report import Figure, Row

_LINES, _WIDTH = 1_000_000, 101
_STAMP = re.compile(rb"(\d{19})\s*$")
_LIMIT = 60.0


def log(bench: Bench) -> Iterator[Row]:
    """101 MB: of a job that has ended, and of one that prints it while we are attached."""
    big = _big_file(bench)
    half = _big_file(bench, parts=2)
    floor = bench.payload("prefixed.py", str(big))
    one = bench.launcher("xrun", "log", _ended_job(bench, big, 1))
    two = bench.launcher("xrun", "log", _ended_job(bench, half, 2))
    tasks = {
        "xrun": lambda: bench.run(one),
        "two": lambda: bench.run(two),
        "floor": lambda: bench.run(floor),
        "torchx": lambda: float(bench.ask("torchx", "log_command", str(big))["seconds"]),
    }
    times = in_turns(tasks, bench.few_rounds, bench.tell)
    figures = medians(times)
    yield Row.of("log of 101 MB", "s", figures, 0.30)
    peaks = {
        "xrun": Figure(bench.peak_mib(one)),
        "floor": Figure(bench.peak_mib(floor)),
        "torchx": Figure(bench.ask("torchx", "log_command", str(big))["mib"]),
    }
    yield Row.of("log of 101 MB, most memory", "MiB", peaks, 30)
    yield Row("log of 101 MB by two replicas, prefixed", "s", figures["two"], figures["floor"])
    commands = {
        "xrun": bench.submit("xrun", "utils.sh", "--", "cat", str(big)),
        "floor": bench.payload("prefixed.py", "--", "cat", str(big)),
        "torchx": bench.submit("torchx", "utils.sh", "--", "cat", str(big)),
    }
    # torchx shows a job's output on stderr
    times = bench.time_in_turns(commands, bench.few_rounds, errors_kept=False)
    yield Row.of("a job that prints 101 MB, attached", "s", medians(times))


def log_api(bench: Bench) -> Iterator[Row]:
    """A million lines as text, through the API."""
    big = str(_big_file(bench))
    times = bench.ask_in_turns("log_lines", bench.few_rounds, big)
    counts = {name: bench.ask(name, "log_lines", big)["lines"] for name in PEERS}
    wrong = ", ".join(f"{name} gave {count:,} lines" for name, count in counts.items() if count != _LINES)
    yield Row.of("API, 1,000,000 lines", "s", medians(times), 0.5, note=wrong)


def latency(bench: Bench) -> Iterator[Row]:
    """From a job's print to the launcher's output."""
    count = str(50 if bench.quick else 200)
    ticks: list[str] = [str(bench.python()), str(PAYLOADS / "ticks.py"), count]
    commands: dict[str, Command] = {
        "xrun": bench.submit("xrun", "utils.sh", "--", *ticks),
        "floor": ticks,
        "torchx": bench.submit("torchx", "utils.sh", "--", *ticks),
    }
    delays: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(bench.few_rounds):
        for name, command in commands.items():
            bench.tell(f"{name}, round {number + 1} of {bench.few_rounds}")
            delays[name] += _delays(bench, command, "torchx" if name == "torchx" else "xrun")
    figures = {}
    for name, samples in delays.items():
        late = statistics.quantiles(samples, n=20)[-1] * 1000
        figures[name] = Figure(statistics.median(samples) * 1000, f"p95 {late:.1f}", tuple(samples))
    yield Row.of("a printed line to the screen", "ms", figures, 5)


def _delays(bench: Bench, command: Command, peer: str) -> list[float]:
    """Seconds from each print to its arrival on the launcher's output."""
    found = []
    rest = b""
    stderr = subprocess.STDOUT if peer == "torchx" else subprocess.DEVNULL  # where it shows a job's output
    with measure.started(command, bench.env(peer), bench.work, stdout=subprocess.PIPE, stderr=stderr) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + _LIMIT
        while time.monotonic() < deadline and (data := os.read(process.stdout.fileno(), 1 << 16)):
            now = time.time_ns()
            *lines, rest = (rest + data).split(b"\n")
            found += [(now - int(stamp[1])) / 1e9 for line in lines if (stamp := _STAMP.search(line))]
    if len(found) < 10:
        raise measure.Failed(f"{peer} showed {len(found)} lines of the ticking job")
    return found


def _ended_job(bench: Bench, path: Path, replicas: int) -> str:
    """The handle of a job that printed a file and has ended."""
    words = ["--detach", "utils.sh", "--num_replicas", str(replicas), "--", "cat", str(path)]
    handle = measure.output(bench.launcher("xrun", *words), bench.env(), bench.work).strip()
    bench.run(bench.launcher("xrun", "wait", handle))
    return handle


def _big_file(bench: Bench, parts: int = 1) -> Path:
    """Lines of `_WIDTH` bytes, `_LINES` in all."""
    path = bench.work / f"lines-{parts}"
    if not path.exists():
        with path.open("wb") as file:
            for i in range(_LINES // parts):
                file.write(b"%09d " % i + b"x" * (_WIDTH - 11) + b"\n")
    return path
