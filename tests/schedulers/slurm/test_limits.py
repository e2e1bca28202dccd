"""What partitions allow, and what ``xrun check --server`` says of a job beyond it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.slurm.jobs import sh
from tests.systems.slurm_cluster import SlurmCluster
from xrun.errors import BackendError
from xrun.schedulers.slurm import limits, request
from xrun.schedulers.slurm.request import SlurmOptions
from xrun.schedulers.slurm.scheduler import create_scheduler
from xrun.specs.app import AppDef

SINFO = (
    "main*|1-00:00:00|1-infinite|3\nmain*|1-00:00:00|1-infinite|1\nshort|1:00|1-infinite|4\nsingle|infinite|1|4\nodd\n"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("12:00:00", 43200),
        ("2-00", 172800),
        ("2-01:30", 178200),
        ("1-00:00:01", 86401),
        ("infinite", math.inf),
        ("UNLIMITED", math.inf),
        ("soon", None),
        ("", None),
    ],
)
def test_times(text: str, wanted: float | None) -> None:
    assert limits.seconds(text) == wanted


def test_partitions() -> None:
    assert limits.partitions(SINFO) == [
        ("main", True, 86400, 4),
        ("short", False, 60, 4),
        ("single", False, math.inf, 1),
    ]


def test_one_of_several_partitions_is_enough() -> None:
    there = limits.partitions(SINFO)
    for partition, replicas, count in (("short,single", 5, 1), ("short,main", 4, 0), ("nowhere", 9, 0)):
        options = SlurmOptions(partition=partition, time="2:00:00")
        asked = request.build(AppDef("job", [sh("true", num_replicas=replicas)]), options, "a", "h", "/r")
        assert len(list(limits.problems(asked, there))) == count


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time": "0:40"}, "time 0:40 is over at once: a job goes back to the queue 40 s before it"),
        ({"time": "0:40", "requeue": False}, "time 0:40 is over at once: a job ends 40 s before it"),
        ({"time": "0:41"}, ""),
        ({"time": "0:40", "signal": "USR1@10"}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_a_time_that_is_over_at_once(options: dict[str, Any], words: str) -> None:
    asked = request.build(AppDef("job", [sh("true")]), SlurmOptions(**options), "a", "h", "/r")
    found = list(limits.notices(asked))
    assert len(found) == bool(words)
    assert words in "".join(found)


@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize(
    ("options", "replicas", "words"),
    [
        ({}, 4, ""),
        ({"time": "1-00:00:00"}, 1, ""),
        ({"time": "1-00:00:01"}, 1, "1440 minutes of partition main"),
        ({"time": "2", "partition": "short"}, 1, "1 minutes of partition short"),
        ({"partition": "single"}, 2, "needs 2 nodes, and partition single gives a job 1"),
        ({"partition": "single", "nodes": 1}, 2, ""),
    ],
    ids=str,
)
def test_a_job_beyond_them(cluster: SlurmCluster, options: dict[str, object], replicas: int, words: str) -> None:
    scheduler = create_scheduler()
    found = scheduler.check(AppDef("job", [sh("true", num_replicas=replicas)]), options, server=True)
    assert [p.code for p in found] == (["XR147"] if words else [])
    assert words in "".join(map(str, found))
    assert cluster.command("squeue", "--noheader", "--name=job") == ""


def test_a_machine_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XRUN_HOME", str(tmp_path / "home"))
    with pytest.raises(BackendError, match="there is no sinfo on PATH; run xrun where Slurm's commands are"):
        create_scheduler().check(AppDef("job", [sh("true")]), {}, server=True)
