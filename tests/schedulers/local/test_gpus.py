"""GPUs, made up: no two replicas have the same one, whatever else runs."""

from __future__ import annotations

import itertools
import os
import re
import signal
import stat
from pathlib import Path

import pytest

from xrun.errors import BackendError
from xrun.schedulers.local.scheduler import LocalScheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs import AppDef, AppState, Resource

from .conftest import end_of, sh, supervisor_pid, until


def test_replicas_get_gpus_of_their_own(local: LocalScheduler) -> None:
    app_id = local.submit(_asking(2, num_replicas=3), {"gpus": 8})
    end_of(local, app_id)
    assert _devices(local, app_id) == [{"0", "1"}, {"2", "3"}, {"4", "5"}]


def test_concurrent_apps_do_not_overlap_and_wait_for_their_turn(local: LocalScheduler) -> None:
    text = "echo $CUDA_VISIBLE_DEVICES $(date +%s%N); sleep 0.2; date +%s%N"
    app_ids = [local.submit(_asking(2, text, num_replicas=1), {"gpus": 4}) for _ in range(5)]
    spans: dict[str, list[tuple[int, int]]] = {}
    for app_id in app_ids:
        assert end_of(local, app_id).state is AppState.SUCCEEDED
        words = b"".join(c.data for c in local.logs(app_id, LogQuery())).split()
        for device in words[0].decode().split(","):
            spans.setdefault(device, []).append((int(words[1]), int(words[2])))
    assert sum(map(len, spans.values())) == 10
    for used in spans.values():
        used.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(used)), spans


def test_a_waiting_app_says_so_and_can_be_cancelled(local: LocalScheduler) -> None:
    first = local.submit(_asking(2, "sleep 300"), {"gpus": 2})
    until(lambda: local.describe(first).status.state is AppState.RUNNING)  # type: ignore[union-attr]
    second = local.submit(_asking(1, "sleep 300"), {"gpus": 2})
    until(lambda: "waiting for 1 of 2 GPUs" in local.describe(second).status.msg)  # type: ignore[union-attr]
    assert local.describe(second).status.state is AppState.PENDING  # type: ignore[union-attr]
    third = local.submit(_asking(1, "exit 0"), {"gpus": 2})
    local.cancel(second)
    assert end_of(local, second).state is AppState.CANCELLED
    local.cancel(first)
    assert end_of(local, third).state is AppState.SUCCEEDED


def test_gpus_of_a_killed_supervisor_are_free_once_its_replicas_are_gone(local: LocalScheduler) -> None:
    first = local.submit(_asking(1, "exec sleep 300"), {"gpus": 1})
    pid = supervisor_pid(local, first)
    second = local.submit(_asking(1, "exit 0"), {"gpus": 1})
    until(lambda: local.describe(second).status.state is AppState.PENDING)  # type: ignore[union-attr]
    os.kill(pid, signal.SIGKILL)
    assert end_of(local, first).state is AppState.FAILED
    assert local.describe(second).status.state is AppState.PENDING, "its replica still has it"  # type: ignore[union-attr]
    LocalScheduler().list()
    assert end_of(local, second).state is AppState.SUCCEEDED


def test_more_than_there_are_is_refused(local: LocalScheduler) -> None:
    with pytest.raises(BackendError, match="asks for 6 GPUs and this machine has 4"):
        local.submit(_asking(3, num_replicas=2), {"gpus": 4})
    assert local.list() == []


def test_they_are_counted_by_nvidia_smi(local: LocalScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    app_id = local.submit(_asking(1, num_replicas=2), {})
    end_of(local, app_id)
    assert _devices(local, app_id) == [{"0"}, {"1"}]
    tool.write_text("#!/bin/sh\nexit 9\n")
    with pytest.raises(BackendError, match=re.escape("-cfg gpus=N")):
        local.submit(_asking(1), {})


def test_the_launchers_own_limit_counts(local: LocalScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7a")
    app_id = local.submit(_asking(1, num_replicas=2), {})
    end_of(local, app_id)
    assert _devices(local, app_id) == [{"5"}, {"GPU-7a"}]


def _asking(gpu: int, text: str = "echo $CUDA_VISIBLE_DEVICES", num_replicas: int = 1) -> AppDef:
    return sh(text, resource=Resource(cpu=0.1, gpu=gpu), num_replicas=num_replicas)


def _devices(local: LocalScheduler, app_id: str) -> list[set[str]]:
    count = len(local.describe(app_id).status.roles[0].replicas)  # type: ignore[union-attr]
    texts = [b"".join(c.data for c in local.logs(app_id, LogQuery("main", (k,)))) for k in range(count)]
    return [set(text.decode().strip().split(",")) for text in texts]
