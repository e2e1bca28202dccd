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
    on_docker = ("-s", "docker", "-cfg", "image=busybox", "utils.echo")
    render_docker = {"xrun": bench.launcher("xrun", "render", *on_docker), "floor": floor}
    yield in_clicks(bench, "render -s docker utils.echo", render_docker, 2.5)
    run_docker = {"xrun": bench.launcher("xrun", "run", "--dryrun", *on_docker), "floor": floor}
    yield in_clicks(bench, "run --dryrun -s docker utils.echo", run_docker, 2.5)
    yield Row(
        "render utils.echo, most memory",
        "MiB",
        Figure(bench.peak_mib(render)),
        Figure(bench.peak_mib(floor)),
        Figure(bench.peak_mib(torchx, "torchx")),
        target=30,
    )


def completion(bench: Bench) -> Iterator[Row]:
    """From a TAB to the answer that the shell gets: a verb, a component's options, a function in a file, a handle."""
    jobs = bench.work / "completed.py"
    jobs.write_text("from xrun.specs import AppDef\n\ndef job(lr: float = 0.1) -> AppDef: ...\n")
    bench.run(bench.launcher("xrun", "--detach", "utils.echo"))
    asked = {
        "a verb": "sta",
        "a component's options": "dist.ddp\x1f--s",
        "a function in a file": "completed.py:",
        "options of a scheduler": "-cfg\x1fgr",
        "a handle": "status\x1flocal://",
    }
    floor: Command = [bench.python(), "-c", "import click.shell_completion; print('words')"]
    for name, words in asked.items():
        env = {"_XRUN_COMPLETE": "fish", "_XRUN_WORDS": f"xrun\x1f{words}"}
        commands: dict[str, Command] = {"xrun": bench.launcher("xrun"), "floor": floor}
        yield in_clicks(bench, f"completion: {name}", commands, 3.9, **env)


def in_clicks(bench: Bench, metric: str, commands: Mapping[str, Command], target: float, **env: str) -> Row:
    """A row of whole commands, as multiples of ``import click`` in the same rounds."""
    base: Command = [bench.python(), "-c", BASE]
    times = bench.time_in_turns({BASE: base, **commands}, bench.rounds, **env)
    figures = {name: ratio(times[name], times[BASE]) for name in commands}
    note = f"x is the time of python -c '{BASE}', {sorted(times[BASE])[len(times[BASE]) // 2] * 1000:.0f} ms"
    return Row.of(metric, "x", figures, target, note=note)
