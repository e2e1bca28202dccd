"""The cluster, as the tests of the kubernetes scheduler use it: with the rights that xrun ships, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.schedulers.kubernetes.jobs import Team
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import KubernetesSystem
from xrun.runner import Runner, get_runner
from xrun.schedulers.kubernetes import rights


@pytest.fixture
def team(kubernetes_system: KubernetesSystem, kubernetes_namespace: str, monkeypatch: pytest.MonkeyPatch) -> Team:
    """KUBECONFIG is of an account that may do what the shipped manifest grants, in a namespace of its own."""
    kubeconfig = cluster.granted(kubernetes_system, kubernetes_namespace, rights.manifest(), "xrun")
    monkeypatch.setenv("KUBECONFIG", kubeconfig)
    return Team(kubernetes_system, kubernetes_namespace)


@pytest.fixture
def runner(team: Team, xrun_home: Path) -> Iterator[Runner]:
    with get_runner() as runner:
        yield runner
