"""Many jobs of ``/bin/true`` through the API."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import PEERS, Bench
from benchmarks.measure import medians
from benchmarks.report import Figure, Row


def launch(bench: Bench) -> Iterator[Row]:
    """One after another, and all at once."""
    count = 40 if bench.quick else 200
    rounds = max(1, bench.few_rounds - 1)
    times = bench.ask_in_turns("one_by_one", rounds, str(count))
    yield Row.of(f"{count} jobs one after another, each", "ms", medians(times, 1000), 10)

    # torchx takes 100 jobs unless told otherwise; xrun ignores a parameter that it does not know
    rates = bench.ask_in_turns("at_once", rounds, "200", "2000", key="rate")
    note = "torchx's limit of 100 jobs raised for this"
    yield Row.of("200 jobs at once", "jobs/s", medians(rates), 400, at_least=True, note=note)

    many = {}
    for name in PEERS:
        bench.tell(f"1,000 at once, {name}")
        many[name] = bench.ask(name, "at_once", "1000")
    notes = [f"{name}'s first error: {told['error']}" for name, told in many.items() if told["error"]]
    figures = {name: Figure(told["errors"], f"{told['rate']:.0f} jobs/s") for name, told in many.items()}
    yield Row.of("1,000 jobs at once, failed", "jobs", figures, 0, note="; ".join(notes))
