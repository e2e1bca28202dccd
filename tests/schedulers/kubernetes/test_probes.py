"""What ``xrun doctor`` says of a cluster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import until
from xrun.runner import Runner, get_runner, trial
from xrun.runner.diagnosis import Verdict
from xrun.schedulers.api import Probe
from xrun.schedulers.kubernetes import probes
from xrun.schedulers.kubernetes.client import Cluster

pytestmark = [cluster.group("verbs"), pytest.mark.timeout(180)]


def looked_at(**options: Any) -> dict[str, Probe]:
    connection = Cluster()
    try:
        return {probe.subject: probe for probe in probes.look(connection, options)}
    finally:
        connection.close()


def test_a_cluster_that_has_all(team: Team) -> None:
    found = looked_at()
    assert list(found) == ["cluster", "version", "jobs", "jobset", "rights"]
    assert all(probe.ok for probe in found.values()), found
    assert found["cluster"].detail.endswith(f", namespace {team.namespace}")
    assert found["version"].detail == "v1.34.4"
    assert "v1alpha2" in found["jobset"].detail


def test_rights_that_are_lacking_are_named(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]}]
    monkeypatch.setenv("KUBECONFIG", cluster.account(team.system, team.namespace, rules, "some"))
    found = looked_at()
    assert found["jobs"].ok
    assert not found["rights"].ok
    assert "you may not create jobsets.jobset.x-k8s.io" in found["rights"].detail
    assert "rbac.yaml" in found["rights"].detail
    assert "\n" not in found["rights"].detail


def test_a_namespace_that_is_not_there(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", team.system.kubeconfig)
    connection = Cluster(namespace="nosuch-namespace")
    found = {probe.subject: probe for probe in probes.look(connection, {})}
    connection.close()
    assert not found["jobs"].ok
    assert "nosuch-namespace" in found["jobs"].detail


def test_a_queue_without_kueue(team: Team) -> None:
    found = looked_at(queue="big")["queue"]
    assert not found.ok
    assert "the cluster has no Kueue" in found.detail


@pytest.fixture
def mute() -> Iterator[str]:
    """An address that takes calls and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        return kubeconfig(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}")


def kubeconfig(folder: Path, server: str) -> str:
    about = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    }
    path = folder / "config"
    path.write_text(json.dumps(about))
    return str(path)


def test_a_cluster_that_is_away(nowhere: str) -> None:
    connection = Cluster(nowhere)
    (found,) = probes.look(connection, {})
    connection.close()
    assert not found.ok
    assert "can't be reached" in found.detail


def doctor(tmp_path: Path, *more: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    words = [sys.executable, "-m", "xrun", "doctor", "-s", "kubernetes", "--timeout", "8s", "--json", *more]
    everything = {**os.environ, "XRUN_HOME": str(tmp_path), **env}
    done = subprocess.run(words, env=everything, capture_output=True, text=True, timeout=60)
    rows = json.loads(done.stdout)["findings"]
    return done.returncode, [row for row in rows if row["section"] == "scheduler kubernetes"]


def test_doctor_shows_it(team: Team, tmp_path: Path) -> None:
    code, rows = doctor(tmp_path)
    assert {row["subject"]: row["verdict"] for row in rows}["rights"] == "ok", rows
    assert code == 0


def test_doctor_does_not_wait_for_a_cluster_that_never_answers(mute: str, tmp_path: Path) -> None:
    began = time.monotonic()
    code, _ = doctor(tmp_path, KUBECONFIG=kubeconfig(tmp_path, mute))
    assert code in (4, 8)
    assert time.monotonic() - began < 30


# --- a job, on request -----------------------------------------------------------------------------------------------


def nothing_is_left(team: Team) -> bool:
    return team.kubectl("get", "jobs,jobsets,pods", "--output=name") == ""


def test_a_job_that_does_nothing(team: Team, tmp_path: Path) -> None:
    code, rows = doctor(tmp_path, "--image", team.system.image)
    assert code == 0
    (row,) = [row for row in rows if row["subject"] == "job"]
    assert row["verdict"] == "ok", row
    assert "ended after" in row["detail"]
    until(lambda: nothing_is_left(team))


def test_a_job_that_does_not_start_says_why(runner: Runner, team: Team) -> None:
    notes: list[str] = []
    found = trial.run(runner, "kubernetes", "localhost:1/none:1", 8, notes.append, lambda: None)
    assert (found.verdict, found.used, found.fix) == (Verdict.BROKEN, True, "")
    assert "has not ended after 8 s: main/0: " in found.detail
    assert "localhost:1/none:1" in found.detail
    assert "\n" not in found.detail
    assert any("ImagePull" in note for note in notes)
    until(lambda: nothing_is_left(team))


def test_a_job_without_the_rights(team: Team, tmp_path: Path, xrun_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", cluster.account(team.system, team.namespace, [], "nobody"))
    with get_runner() as runner:
        found = trial.run(runner, "kubernetes", team.system.image, 8, lambda _: None, lambda: None)
    assert found.verdict is Verdict.BROKEN
    assert "no right to create Job" in found.detail


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_removes_the_job(team: Team, tmp_path: Path, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "xrun", "doctor", "-s", "kubernetes", "--image", "localhost:1/none:1"]
    with subprocess.Popen(words, env={**os.environ, "XRUN_HOME": str(tmp_path)}, stderr=subprocess.PIPE) as process:
        until(lambda: team.names("pods"))
        process.send_signal(number)
        assert process.wait(60) == 130
        assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr] # it is piped
    until(lambda: nothing_is_left(team))
    assert team.names("jobs") == []


def test_versions() -> None:
    assert not probes._version({"gitVersion": "v1.28.15-eks-1"}).ok
    assert "1.29" in probes._version({"gitVersion": "v1.28.15-eks-1"}).detail
    assert probes._version({"gitVersion": "v1.30.1+k3s1"}).ok
    assert probes._version({"gitVersion": "odd"}).ok
