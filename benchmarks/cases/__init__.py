"""What is measured: each case is a function that yields rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.cases import api, ddp, history, jobs, kubernetes, launch, logs, slurm, start, waiting, workspaces
from benchmarks.report import Row

CASES: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "start": start.start,
    "dryrun": start.dryrun,
    "completion": start.completion,
    "list": history.list_,
    "echo": jobs.echo,
    "short": jobs.short,
    "ddp": ddp.ddp,
    "api": api.api,
    "launch": launch.launch,
    "idle": waiting.idle,
    "log": logs.log,
    "logapi": logs.log_api,
    "latency": logs.latency,
    "workspace": workspaces.workspace,
    "slurm": slurm.slurm,
    "kubernetes": kubernetes.kubernetes,
}
"""name -> case; they run in this order."""
