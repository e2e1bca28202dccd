"""What the history of jobs costs whoever asks it."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.cases.start import in_clicks
from benchmarks.report import Row


def list_(bench: Bench) -> Iterator[Row]:
    """``xrun list`` of many jobs that have ended; torchx keeps none."""
    count = 10_000
    home = bench.work / "home" / "history"
    bench.tell(f"submitting {count} jobs on paper")
    bench.run(bench.payload("fill_history.py", str(count)), XRUN_HOME=str(home))
    commands = {
        "xrun": bench.launcher("xrun", "list"),
        "floor": bench.payload("list_by_hand.py", str(home / "history.db")),
    }
    yield in_clicks(bench, f"list of {count} jobs", commands, 2.5, XRUN_HOME=str(home))
    commands["xrun"] = bench.launcher("xrun", "list", "--limit", "20")
    yield in_clicks(bench, f"list of the newest 20 of {count}", commands, 2.5, XRUN_HOME=str(home))
