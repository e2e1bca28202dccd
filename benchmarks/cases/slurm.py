"""Slurm: the script of many replicas, a dry run, a submission beside bare sbatch, and 500 jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.cases.start import in_clicks
from benchmarks.measure import Command, Failed, median, ratio
from benchmarks.report import Figure, Row
from tests.systems import slurm_cluster
from tests.systems.slurm_cluster import SlurmCluster

_REPLICAS = 1_000


def slurm(bench: Bench) -> Iterator[Row]:
    """What needs no cluster first."""
    yield from _script(bench)
    floor = bench.payload("by_hand.py")
    render = {"xrun": bench.launcher("xrun", "render", "-s", "slurm", "utils.echo"), "floor": floor}
    yield in_clicks(bench, "render -s slurm utils.echo", render, 2.5)
    dryrun = {"xrun": bench.launcher("xrun", "run", "--dryrun", "-s", "slurm", "utils.echo"), "floor": floor}
    yield in_clicks(bench, "run --dryrun -s slurm utils.echo", dryrun, 2.5)
    if lacking := slurm_cluster.lacking(accounting=False):
        raise Failed(lacking)
    with slurm_cluster.started(accounting=False) as cluster:
        yield _submission(bench, cluster)
        yield from _many(bench, cluster)


def _script(bench: Bench) -> Iterator[Row]:
    def task() -> float:
        command = bench.payload("slurm_render.py", str(_REPLICAS), "200")
        found.append(json.loads(measure.output(command, bench.env(), bench.work)))
        return float(found[-1]["seconds"])

    found: list[dict[str, float]] = []
    times = measure.in_turns({"xrun": task}, bench.few_rounds, bench.tell)
    yield Row(f"API dry run and its text, {_REPLICAS:,} replicas", "ms", median(times["xrun"], 1000), target=1)
    yield Row(f"the script of {_REPLICAS:,} replicas", "KB", Figure(found[-1]["bytes"] / 1000), target=3)


def _submission(bench: Bench, cluster: SlurmCluster) -> Row:
    """From the command to the job's number, as a multiple of sbatch and our own command line together."""
    script = bench.work / "job.sh"
    script.write_text("#!/bin/sh\n#SBATCH --output=/dev/null --mem=64\nsrun true\n")
    commands: dict[str, Command] = {
        "xrun": bench.launcher("xrun", "-s", "slurm", "--detach", "-cfg", "sbatch_args=--hold", "utils.echo"),
        "sbatch": ["sbatch", "--parsable", "--hold", script],
        "command line": bench.launcher("xrun", "render", "-s", "slurm", "utils.echo"),
    }
    times = bench.time_in_turns(commands, bench.rounds, **cluster.env)
    cluster.command("scancel", "--user=root")
    base = [a + b for a, b in zip(times["sbatch"], times["command line"], strict=True)]
    note = ", ".join(f"{name} {median(samples, 1000).value:.0f} ms" for name, samples in times.items())
    floor = ratio(times["sbatch"], base)
    return Row("from the command to the job's number", "x", ratio(times["xrun"], base), floor, target=1.5, note=note)


def _many(bench: Bench, cluster: SlurmCluster) -> Iterator[Row]:
    count = 50 if bench.quick else 500
    found: dict[str, dict[str, float]] = {}

    def task(peer: str) -> Callable[[], float]:
        def ask() -> float:
            command = bench.payload("slurm_many.py", peer, str(count))
            found[peer] = json.loads(measure.output(command, bench.env(**cluster.env), bench.work))
            return found[peer]["total"]

        return ask

    for peer in ("xrun", "floor"):
        bench.tell(f"{count} jobs, {peer}")
        task(peer)()
    each = {name: Figure(told["submitted"] / count * 1000) for name, told in found.items()}
    yield Row.of(f"{count} jobs submitted, each", "ms", each, note="the floor is sbatch, one after another")
    total = {name: Figure(told["total"]) for name, told in found.items()}
    yield Row.of(f"{count} jobs from the first submission to the end of all", "s", total)
    asked = {name: Figure(told["asked"]) for name, told in found.items()}
    yield Row.of(f"{count} jobs: commands that asked how they are", "calls", asked)
