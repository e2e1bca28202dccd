"""Images with a workspace of many files, beside what ``docker build`` takes for the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.measure import Failed
from benchmarks.report import Figure, Row
from tests.systems import engine
from tests.systems.engine import DockerSystem

_FIRST, _SAME, _CHANGED = "the first image", "nothing changed", "one file changed"
_TARGETS = {_FIRST: None, _SAME: 0.5, _CHANGED: 0.5}
_LINE = "value = compute(previous, step)\n"


def workspace(bench: Bench) -> Iterator[Row]:
    """The first image, one more of the same, and one after a change; whole processes, ours and docker's."""
    if lacking := engine.lacking():
        raise Failed(lacking)
    count = 1_000 if bench.quick else 10_000
    folder = bench.work / "workspace"
    for i in range(count):
        file = folder / f"package{i % 100}" / f"module{i}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {i}\n" + _LINE * 32)
    with engine.started() as system:
        times = measure.in_turns(_tasks(bench, system, folder), bench.few_rounds, bench.tell)
    for what, target in _TARGETS.items():
        figure = measure.ratio(times[f"xrun, {what}"], times[f"docker, {what}"])
        floor = Figure(1, f"{measure.median(times[f'docker, {what}'], 1000).value:.0f} ms")
        note = "x is the time of docker build, classic builder, on the same engine"
        yield Row(f"{count} files: {what}", "x", figure, floor, target=target, note=note)


def _tasks(bench: Bench, system: DockerSystem, folder: Path) -> dict[str, Callable[[], float]]:
    """What is done in each round; the files of a round are no other's, so that its first images are the first."""
    dockerfile = bench.work / "Dockerfile"
    dockerfile.write_text(f"FROM {system.image}\nCOPY . /workspace\n")
    numbers = itertools.count()
    place = {"round": "", "cache": ""}

    def new_round() -> None:
        place["round"] = str(next(numbers))
        place["cache"] = str(bench.work / f"cache{place['round']}")
        for file in folder.glob("package*/module*0.py"):
            file.write_text(f"# round {place['round']}\n" + _LINE * 32)

    def change() -> None:
        (folder / "package7" / "module7.py").write_text(f"# changed in round {place['round']}\n")

    def ours() -> float:
        words = (system.host, system.image, str(folder), place["cache"])
        return bench.run(bench.payload("prepare_image.py", *words, peer="docker"), "docker")

    def theirs() -> float:
        command = ["docker", "build", "--quiet", "--file", dockerfile, folder]
        return bench.run(command, "docker", DOCKER_HOST=system.host, DOCKER_BUILDKIT="0")

    def after(prepared: Callable[[], None], task: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            prepared()
            return task()

        return run

    return {
        f"xrun, {_FIRST}": after(new_round, ours),
        f"docker, {_FIRST}": theirs,
        f"xrun, {_SAME}": ours,
        f"docker, {_SAME}": theirs,
        f"xrun, {_CHANGED}": after(change, ours),
        f"docker, {_CHANGED}": theirs,
    }
