"""What a job's script has noted so far, in the file ``job.log`` of its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from xrun.schedulers.slurm.jobroot import moment

_NUMBER = r"[0-9]{1,9}"
_VERDICT = re.compile(rf"SUCCEEDED|CANCELLED|FAILED (overtime|limit|{_NUMBER} (-|{_NUMBER}) {_NUMBER})")

Key = tuple[int, int]
"""(index of the role, number of the replica)."""


@dataclass
class Replica:
    """What is known of one replica.

    Attributes:
        attempt: the number of its last start; -1 if none.
        host: the node.
        started: Unix time of the last start in this stay in the cluster, 0 if none.
        ended: Unix time of the end of that, 0 if none.
        code: its exit code, as a shell gives it.
        word: ``stopped`` if it was told to end, ``again`` if it is tried again, ``lost`` if what ran it was killed;
            else empty.
    """

    attempt: int = -1
    host: str = ""
    started: float = 0.0
    ended: float = 0.0
    code: int | None = None
    word: str = ""


@dataclass
class Record:
    """The whole file, read.

    Attributes:
        job_id: the job's number, empty if it has not begun.
        began: Unix time of the last begin.
        nodes: where, in Slurm's short form.
        restarts: restarts so far; one of many replicas counts once.
        replicas: what is known of each.
        killed: when the job's script was told by Slurm to end; 0 if it was not, or runs again.
        verdict: the words of the verdict, as ``["FAILED", "0", "2", "3"]``; empty without one.
        ended: its time.
    """

    job_id: str = ""
    began: float = 0.0
    nodes: str = ""
    restarts: int = 0
    replicas: dict[Key, Replica] = field(default_factory=dict)
    killed: float = 0.0
    verdict: list[str] = field(default_factory=list)
    ended: float = 0.0


def parse(text: str) -> Record:
    """The file's text; a line that is cut short or damaged is passed over."""
    record = Record()
    for line in text.splitlines():
        words = line.split()
        try:
            if words:
                _apply(record, words[0], words[1:])
        except (ValueError, IndexError):
            continue
    return record


def _apply(record: Record, kind: str, words: list[str]) -> None:
    if kind in ("start", "end"):
        _replica(record, kind, words)
    elif kind == "run":
        began = moment(words[2])
        if record.job_id:
            record.restarts += 1
        for replica in record.replicas.values():
            replica.started = replica.ended = 0.0
        record.job_id, record.began, record.nodes = words[0], began, " ".join(words[3:4])
        record.verdict, record.ended, record.killed = [], 0.0, 0.0
    elif kind == "killed":
        record.killed = moment(words[0])
    elif kind == "retry":
        record.restarts += 1
    elif kind == "verdict":
        if not _VERDICT.fullmatch(" ".join(words[1:])):
            raise ValueError(words)
        record.ended, record.verdict = moment(words[0]), words[1:]


def _replica(record: Record, kind: str, words: list[str]) -> None:
    key, attempt, when = (int(words[0]), int(words[1])), int(words[2]), moment(words[3])
    replica = record.replicas.setdefault(key, Replica())
    if kind == "start":
        replica.attempt, replica.started, replica.ended = attempt, when, 0.0
        replica.host, replica.code, replica.word = words[4] if len(words) > 4 else "", None, ""
    else:
        replica.ended, replica.code, replica.word = when, int(words[4]), words[5] if len(words) > 5 else ""
        replica.host = words[6] if len(words) > 6 else replica.host
        if replica.word == "again":
            record.restarts += 1
