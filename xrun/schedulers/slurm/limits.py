"""Partitions' limits: a job beyond them is accepted by many clusters, and waits for ever."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from xrun.schedulers.slurm.request import SlurmOptions, SlurmRequest, lead, shape
from xrun.specs.problems import Problem

FORMAT = "%P|%l|%s|%D"
"""What ``sinfo --format`` is asked for."""

_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


class Partition(NamedTuple):
    """One partition.

    Attributes:
        name: its name.
        is_default: whether jobs that name none go there.
        longest: seconds that a job may take.
        most: nodes that a job may have.
    """

    name: str
    is_default: bool
    longest: float
    most: float


def seconds(text: str) -> float | None:
    """A time as Slurm writes and reads it; infinite for words, None if it is none."""
    if text.lower() in ("infinite", "unlimited", "n/a"):
        return math.inf
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    days, *rest = found.groups()
    parts = [int(p) for p in rest if p is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        parts += [0] * (3 - len(parts))
        return int(days) * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    if len(parts) == 3:
        return parts[0] * 3600 + parts[1] * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)


def partitions(said: str) -> list[Partition]:
    """From lines of sinfo; a partition has one for each kind of its nodes."""
    found: dict[str, Partition] = {}
    for line in said.splitlines():
        fields = line.split("|")
        if len(fields) != 4:
            continue
        name, longest, size, nodes = fields
        allowed = size.rpartition("-")[2]
        before = found[name].most if name in found else 0.0
        there = before + (int(nodes) if nodes.isdigit() else math.inf)
        found[name] = Partition(name.rstrip("*"), name.endswith("*"), seconds(longest) or math.inf, there)
        if allowed.isdigit():
            found[name] = found[name]._replace(most=min(there, int(allowed)))
    return list(found.values())


def problems(request: SlurmRequest, there: list[Partition]) -> Iterator[Problem]:
    """Limits of every partition that the job may go to, a problem each if none takes it."""
    options = request.options
    names = options.partition.split(",") if options.partition else []
    wanted = [p for p in there if p.name in names or (not names and p.is_default)]
    if not wanted:
        return  # sbatch says what is wrong with a name, and may have a default of its own
    name = ", ".join(p.name for p in wanted)
    longest = max(p.longest for p in wanted)
    asked = seconds(options.time) if options.time else None
    if asked is not None and asked > longest:
        message = f"{options.time} is more than the {longest / 60:g} minutes of partition {name}"
        yield Problem("XR147", "options.time", message, "ask for less; the job goes back to the queue at its end")
    nodes = _nodes(request, options)
    most = max(p.most for p in wanted)
    if nodes > most:
        message = f"the job needs {nodes} nodes, and partition {name} gives a job {most:g}"
        yield Problem("XR147", "options.partition", message, "another partition, or -cfg nodes=N for fewer")


def notices(request: SlurmRequest) -> Iterator[str]:
    """A time limit that leaves no time, since the job is stopped a while before it."""
    options = request.options
    asked = seconds(options.time) if options.time and not options.signal else None
    if asked is not None and asked <= lead(options):
        then = "goes back to the queue" if options.requeue and options.max_requeues else "ends"
        yield f"time {options.time} is over at once: a job {then} {lead(options)} s before it, grace_period and 10 s"


def _nodes(request: SlurmRequest, options: SlurmOptions) -> int:
    counts = [shape(role, options).nodes for role in request.app.roles]
    return sum(counts) if request.is_het else max(counts)
