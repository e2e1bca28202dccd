"""What all tests share: a home of their own, and skips that are failures in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems import engine, kubernetes_cluster, slurm_cluster
from tests.systems.engine import DockerSystem
from tests.systems.kubernetes_cluster import KubernetesSystem
from tests.systems.slurm_cluster import SlurmCluster


@pytest.fixture(scope="session", autouse=True)
def _no_traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The history and the jobs of whoever runs the tests are left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell that starts us in its background has SIGINT ignored, and what we start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def xrun_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh XRUN_HOME."""
    home = tmp_path / "home"
    monkeypatch.setenv("XRUN_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def docker_system() -> Iterator[DockerSystem]:
    """An engine, a registry and an image of our own; tests with it are of the xdist group ``docker``."""
    if lacking := engine.lacking():
        pytest.skip(lacking)
    with engine.started() as system:
        yield system


@pytest.fixture(scope="session", name="slurm_cluster")
def _slurm_cluster() -> Iterator[SlurmCluster]:
    """A Slurm cluster of our own that forgets ended jobs; tests with it are of an xdist group ``slurm...``."""
    yield from _cluster(accounting=False)


@pytest.fixture(scope="session")
def slurm_cluster_accounting() -> Iterator[SlurmCluster]:
    """One that keeps ended jobs; tests with it are of an xdist group ``slurm...``."""
    yield from _cluster(accounting=True)


def _cluster(*, accounting: bool) -> Iterator[SlurmCluster]:
    if lacking := slurm_cluster.lacking(accounting):
        pytest.skip(lacking)
    with slurm_cluster.started(accounting) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kubernetes_system() -> Iterator[KubernetesSystem]:
    """A cluster of our own; tests with it are of an xdist group that `kubernetes_cluster.group` gives."""
    if lacking := kubernetes_cluster.lacking():
        pytest.skip(lacking)
    with kubernetes_cluster.started() as system:
        yield system


@pytest.fixture
def kubernetes_namespace(kubernetes_system: KubernetesSystem) -> Iterator[str]:
    """A namespace of the test's own."""
    with kubernetes_cluster.namespace(kubernetes_system) as name:
        yield name


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """With CI=true a skip is a failure: there everything that a test needs must be there."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """What failed comes last, a line each: with CI set the summary has whole messages, and names drown in them."""
    yield
    for what in ("failed", "error"):
        for report in terminalreporter.stats.get(what, []):
            terminalreporter.write_line(f"{what}: {report.nodeid} ({report.when})")
