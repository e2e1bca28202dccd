"""How long the command line takes before it does anything, as multiples of ``import click``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.bench import Bench
from benchmarks.measure import Command, ratio
from benchmarks.report import Figure, Row

BASE = "import click"


def start(bench: Bench) -> Iterator[Row]:
    """``--help`` and ``--version``."""
    help_ = {
        "xrun": bench.launcher("xrun", "--help"),
        "floor": bench.payload("click_group.py", "--help"),
        "torchx": bench.launcher("torchx", "--help"),
    }
    yield in_clicks(bench, "--help", help_, 1.3)
    version: dict[str, Command] = {
        "xrun": bench.launcher("xrun", "--version"),
        "floor": [bench.python(), "-c", "print('xrun 0')"],
        "torchx": bench.launcher("torchx", "--version"),
    }
    yield in_clicks(bench, "--version", version, 1.3)


def dryrun(bench: Bench) -> Iterator[Row]:
    """From the command to the text of the request; nothing is sent."""
    floor = bench.payload("by_hand.py")
    torchx = bench.submit("torchx", "--dryrun", "utils.echo")
    render = bench.launcher("xrun", "render", "utils.echo")
    yield in_clicks(bench, "render utils.echo", {"xrun": render, "floor": floor, "torchx": torchx}, 2.5)
    run = bench.launcher("xrun", "run", "--dryrun", "utils.echo")
    yield in_clicks(bench, "run --dryrun utils.echo", {"xrun": run, "floor": floor, "torchx": torchx}, 2.5)
    yield Row(
        "render utils.echo, most memory",
        "MiB",
        Figure(bench.peak_mib(render)),
        Figure(bench.peak_mib(floor)),
        Figure(bench.peak_mib(torchx, "torchx")),
        target=30,
    )


def in_clicks(bench: Bench, metric: str, commands: Mapping[str, Command], target: float) -> Row:
    """A row of whole commands, as multiples of ``import click`` in the same rounds."""
    base: Command = [bench.python(), "-c", BASE]
    times = bench.time_in_turns({BASE: base, **commands}, bench.rounds)
    figures = {name: ratio(times[name], times[BASE]) for name in commands}
    note = f"x is the time of python -c '{BASE}', {sorted(times[BASE])[len(times[BASE]) // 2] * 1000:.0f} ms"
    return Row.of(metric, "x", figures, target, note=note)
