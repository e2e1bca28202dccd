"""Dry runs through the API: the request and its text."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import PEERS, Bench
from benchmarks.measure import medians
from benchmarks.report import Row


def api(bench: Bench) -> Iterator[Row]:
    """From an AppDef, from a component's name and from a file of the user's."""
    count = 100 if bench.quick else 500
    for metric, action, peers, target in (
        ("API dry run and its text", "dryrun", PEERS, 100),
        ("the same by component name", "dryrun_component", ("xrun", "torchx"), 300),
        ("the same by file:function", "dryrun_file", ("xrun", "torchx"), 500),
    ):
        times = bench.ask_in_turns(action, bench.few_rounds, str(count), peers=peers)
        yield Row.of(metric, "µs", medians(times, 1e6), target)
