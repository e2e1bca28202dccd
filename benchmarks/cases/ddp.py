"""Distributed PyTorch on one node, against torchrun without a launcher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median as middle

from benchmarks.bench import PAYLOADS, Bench
from benchmarks.measure import Command, difference
from benchmarks.report import Figure, Row, milliseconds


def ddp(bench: Bench) -> Iterator[Row]:
    """Two workers that meet, sum one number and end."""
    torch = bench.python("torch")
    # the same interpreter for all three, whatever environment the launcher lives in
    folder = bench.work / "bin"
    _script(folder / "python", f'exec "{torch}" "$@"')
    _script(folder / "torchrun", f'exec "{torch}" -m torch.distributed.run "$@"')
    script = str(PAYLOADS / "all_reduce.py")
    words = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--rdzv-id", "bench", "--nnodes", "1"]
    commands: dict[str, Command] = {
        "torchrun": [folder / "torchrun", *words, "--nproc-per-node", "2", "--tee", "3", "--role", "", script],
        "xrun": bench.submit("xrun", "dist.ddp", "-j", "1x2", "--script", script),
        "torchx": bench.submit("torchx", "dist.ddp", "-j", "1x2", "--script", script),
    }
    path = f"{folder}:{bench.env()['PATH']}"
    times = bench.time_in_turns(commands, bench.few_rounds, PATH=path, LOGLEVEL="WARNING")
    bare = times["torchrun"]
    yield Row(
        "ddp 1x2, time added to torchrun",
        "ms",
        difference(times["xrun"], bare, 1000),
        Figure(0, f"torchrun {milliseconds(middle(bare))}"),
        difference(times["torchx"], bare, 1000),
        target=100,
    )


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
