"""Small jobs, from the command to its end."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import PEERS, Bench
from benchmarks.cases.start import in_clicks
from benchmarks.measure import Command, medians
from benchmarks.report import Row

_LENGTHS = (0.3, 1.0, 1.9)
_PHASES = ("0.13", "0.37", "0.61", "0.89", "1.12")  # of torchx's looks, one each second


def echo(bench: Bench) -> Iterator[Row]:
    """An echo to its end, shown; by hand it is a Python program that runs echo."""
    commands = {
        "xrun": bench.submit("xrun", "utils.echo"),
        "floor": _by_hand(bench, "echo", "hello world"),
        "torchx": bench.submit("torchx", "utils.echo"),
    }
    yield in_clicks(bench, "echo to its end", commands, 80 / 38)  # 80 ms where import click takes 38


def short(bench: Bench) -> Iterator[Row]:
    """Jobs of a known length: what the launcher adds, and how soon it knows of the end."""
    lengths = _LENGTHS[:2] if bench.quick else _LENGTHS
    added: dict[str, list[float]] = {}
    for length in lengths:
        commands = {
            "xrun": bench.submit("xrun", "utils.sh", "--", "sleep", str(length)),
            "floor": _by_hand(bench, "sleep", str(length)),
            "torchx": bench.submit("torchx", "utils.sh", "--", "sleep", str(length)),
        }
        for name, times in bench.time_in_turns(commands, bench.few_rounds).items():
            added.setdefault(name, []).extend(seconds - length for seconds in times)
    texts = ", ".join(map(str, lengths))
    yield Row.of(f"jobs of {texts} s, time added", "ms", medians(added, 1000))

    delays: dict[str, list[float]] = {}
    for number in range(bench.few_rounds):
        for name in PEERS:
            bench.tell(f"end noticed, {name}, round {number + 1} of {bench.few_rounds}")
            delays.setdefault(name, []).extend(bench.ask(name, "end_noticed", *_PHASES)["delays"])
    worst = ", ".join(f"{name} {max(samples) * 1000:.1f}" for name, samples in delays.items())
    yield Row.of("end of a job to the return of wait()", "ms", medians(delays, 1000), 10, note=f"at most, ms: {worst}")


def _by_hand(bench: Bench, *words: str) -> Command:
    text = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
    return [bench.python(), "-c", text, *words]
