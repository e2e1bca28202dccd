"""What docs/kubernetes.md says is so, on a real cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.blocks import BadBlock, read
from tests.docs.story import Failed, Story
from tests.systems import kubernetes_cluster as cluster
from tests.systems.kube import programs
from tests.systems.kubernetes_cluster import KubernetesSystem, group

pytestmark = [group("verbs"), pytest.mark.timeout(240)]


def test_the_page(
    kubernetes_system: KubernetesSystem, kubernetes_namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.tag(kubernetes_system, cluster.with_python(kubernetes_system), "docker.io/library/python:3.12")
    # the page is of somebody who may hand out rights too
    monkeypatch.setenv("KUBECONFIG", cluster.admin_of(kubernetes_system, kubernetes_namespace))
    tools = Path(programs.find("kubectl")).parent
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    problem = ""
    try:
        with Story(tmp_path) as story:
            for block in read("docs/kubernetes.md"):
                story.tell(block)
    except (BadBlock, Failed) as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)
