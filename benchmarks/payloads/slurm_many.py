"""Submits many jobs of ``true`` to Slurm and follows them to their end: slurm_many.py xrun|floor COUNT.

By hand (``floor``) it is one sbatch after another, and squeue every second until it shows none.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

peer, count = sys.argv[1], int(sys.argv[2])
asked: list[str] = []
"""Commands that asked how jobs are."""


def by_hand() -> tuple[float, float]:
    """Seconds of the submissions, and until all have ended."""
    begin = time.monotonic()
    sbatch = ["sbatch", "--parsable", "--output=/dev/null", "--mem=64", "--wrap", "srun true"]
    jobs = [subprocess.run(sbatch, capture_output=True, text=True, check=True).stdout.strip() for _ in range(count)]
    submitted = time.monotonic() - begin
    while True:
        asked.append("squeue")
        squeue = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join(jobs)}"]
        if not subprocess.run(squeue, capture_output=True, text=True, check=True).stdout.strip():
            return submitted, time.monotonic() - begin
        time.sleep(1)


def by_xrun() -> tuple[float, float]:
    """The same."""
    from xrun.schedulers import create_scheduler
    from xrun.schedulers.slurm.client import Cluster
    from xrun.specs import AppDef, AppState, Resource, Role, is_terminal

    run = Cluster.run

    def counted(self: Cluster, *words: str, **more: object) -> str:
        asked.extend({words[0]} & {"squeue", "sacct", "scontrol", "sinfo"})
        return run(self, *words, **more)  # type: ignore[arg-type] # as it is called

    Cluster.run = counted  # type: ignore[method-assign,assignment] # to count its calls
    scheduler = create_scheduler("slurm", "default")
    app = AppDef("many", [Role("main", image="", entrypoint="true", resource=Resource(cpu=1, memMB=64))])
    begin = time.monotonic()
    app_ids = [scheduler.submit(app, {}) for _ in range(count)]
    submitted = time.monotonic() - begin
    for found in scheduler.watch(app_ids):
        if all(is_terminal(there.status.state) for there in found.values()):
            break
    total = time.monotonic() - begin
    states = {there.status.state for there in scheduler.describe_many(app_ids).values()}
    if states != {AppState.SUCCEEDED}:
        raise SystemExit(f"they ended {states}")
    return submitted, total


submitted, total = by_xrun() if peer == "xrun" else by_hand()
print(json.dumps({"submitted": submitted, "total": total, "asked": len(asked)}))
