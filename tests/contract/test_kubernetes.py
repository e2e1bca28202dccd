"""The contract on a real cluster, for each kind of object, with the rights that xrun ships and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from tests.systems import kubernetes_cluster as cluster
from tests.systems.kubernetes_cluster import KubernetesSystem
from xrun.runner import Runner, get_runner
from xrun.schedulers.kubernetes import rights
from xrun.testing import SchedulerContract

pytestmark = pytest.mark.timeout(240)


class KubernetesContract(SchedulerContract):
    scheduler = "kubernetes"
    image = cluster.PYTHON
    inherits_env = False
    timeout = 200
    skew = 3.0
    many_retries = 2  # Kubernetes waits 10 s before the first, and twice as long before each other
    hostile_jobs = 4
    crlf = b"\n"

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, kubernetes_system: KubernetesSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        cluster.with_python(kubernetes_system)
        with (
            cluster.namespace(kubernetes_system) as namespace,
            pytest.MonkeyPatch.context() as patch,
            get_runner() as runner,
        ):
            patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
            patch.setenv("KUBECONFIG", cluster.granted(kubernetes_system, namespace, rights.manifest(), "xrun"))
            yield runner


@cluster.group("job")
class TestKubernetesJob(KubernetesContract):
    column = "kubernetes job"
    cfg: ClassVar = {"kind": "job"}


@cluster.group("jobset")
class TestKubernetesJobSet(KubernetesContract):
    column = "kubernetes jobset"
    cfg: ClassVar = {"kind": "jobset"}
