"""What an attached launcher uses while its job does nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from benchmarks import measure
from benchmarks.bench import Bench
from benchmarks.measure import Failed
from benchmarks.report import Figure, Row

_SETTLE = 3.0  # seconds until everything has started


def idle(bench: Bench) -> Iterator[Row]:
    """CPU time a minute of the launcher, and of its supervisor, with 1 and 64 replicas of sleep."""
    for replicas, target in ((1, 5.0), (64, 20.0)):
        ours, supervisor, note = _watch(bench, "xrun", replicas)
        theirs, _, their_note = _watch(bench, "torchx", replicas)
        metric = f"idle launcher, {replicas} replica{'s' * (replicas > 1)}, CPU a minute"
        note = f"wake-ups a second: xrun {note}, torchx {their_note}"
        yield Row(metric, "ms", Figure(ours), Figure(0), Figure(theirs), target, note=note)
        yield Row(f"its supervisor, {replicas} replica{'s' * (replicas > 1)}", "ms", Figure(supervisor), Figure(0))


def _watch(bench: Bench, peer: str, replicas: int) -> tuple[float, float, str]:
    """Milliseconds a minute of the launcher, the same of the rest of its Python processes, and their wake-ups."""
    length = str(int(bench.idle_seconds + 4 * _SETTLE))
    command = bench.submit(peer, "utils.sh", "--num_replicas", str(replicas), "--", "sleep", length)
    with measure.started(command, bench.env(peer), bench.work, stdout=subprocess.DEVNULL) as process:
        bench.tell(f"{peer}, {replicas} replicas, for {bench.idle_seconds:.0f} s")
        deadline = time.monotonic() + 30
        while len(measure.family(process.pid)) <= replicas:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{peer} did not start {replicas} replicas")
            time.sleep(0.2)
        time.sleep(_SETTLE)
        pids = [pid for pid in measure.family(process.pid) if measure.is_python(pid)]
        before = {pid: (measure.cpu_seconds(pid), measure.wake_ups(pid)) for pid in pids}
        begin = time.monotonic()
        time.sleep(bench.idle_seconds)
        after = {pid: (measure.cpu_seconds(pid), measure.wake_ups(pid)) for pid in pids}
        seconds = time.monotonic() - begin
    used = {pid: (after[pid][0] - before[pid][0]) / seconds * 60_000 for pid in pids}
    woken = sum(after[pid][1] - before[pid][1] for pid in pids) / seconds
    own = used.pop(process.pid)
    return own, sum(used.values()), f"{woken:.1f}"
