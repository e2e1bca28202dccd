"""Logs of several nodes, one of which does not answer: the tests' own cluster has one, so it is played here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from xrun.schedulers.kubernetes import logs
from xrun.schedulers.kubernetes.client import Cluster, NodeUnavailable
from xrun.schedulers.kubernetes.logs import Part
from xrun.schedulers.kubernetes.objects import Pod
from xrun.schedulers.logs import LogChunk, LogQuery


class Cut:
    """A cluster of which some nodes answer."""

    def __init__(self, *away: str) -> None:
        self._away = away

    def path(self, _kind: str, _namespace: str, name: str, _sub: str) -> str:
        return name

    @contextmanager
    def stream(self, _what: str, path: str, _query: dict[str, str], _idle: float) -> Iterator[list[bytes]]:
        if path in self._away:
            raise NodeUnavailable(f"{path}: connection refused")
        yield [f"2026-01-01T00:00:00.000000000Z {path}\n".encode()]


def parts(count: int) -> list[Part]:
    pods = [Pod(f"pod-{k}", str(k), "", "main", k, 0, 0, "Running", f"n{k}", 0.0, started=1.0) for k in range(count)]
    return [Part(pod, "main", False, "") for pod in pods]


def read(*away: str) -> tuple[list[LogChunk], list[str]]:
    notices: list[str] = []
    cluster: Any = Cut(*away)
    return list(logs.read(cast("Cluster", cluster), parts(2), LogQuery(), notices.append)), notices


def test_a_node_that_is_away_hides_no_other() -> None:
    found, notices = read("pod-1")
    assert [(chunk.replica, chunk.data) for chunk in found] == [(0, b"pod-0\n")]
    assert notices == ["the log of main/1 is not all there: pod-1: connection refused"]
    assert len(read()[0]) == 2


def test_no_node_answers() -> None:
    with pytest.raises(NodeUnavailable, match="connection refused"):
        read("pod-0", "pod-1")
