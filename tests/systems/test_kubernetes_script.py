"""What ``tests/systems/kubernetes`` does without a cluster, and what it must not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.systems import kubernetes_cluster as cluster
from tests.systems.kube import groups, programs
from tests.systems.kube.place import Place
from tests.systems.kubernetes_cluster import SCRIPT


def script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [(), ("up",), ("nodes", "/tmp", "many"), ("stop", "/tmp", "nosuch"), ("help",)])
def test_what_it_does_not_understand_is_answered_with_its_usage(words: tuple[str, ...]) -> None:
    done = script(*words)
    assert done.returncode == 2
    assert "build | up FOLDER | down FOLDER" in done.stderr


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for verb, words in (("down", "no cluster's folder"), ("up", "")):
        done = script(verb, str(tmp_path))
        assert done.returncode == 1
        assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_programs_that_are_given_need_not_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).touch(0o755)
        assert programs.find(name) == str(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="kubernetes is not built: run tests/systems/kubernetes build"):
        programs.find("kubelet")
    assert "tests/systems/kubernetes build" in programs.lacking()


def test_ports_and_token_stay_the_same(tmp_path: Path) -> None:
    first, again = Place(tmp_path / "a"), Place(tmp_path / "a")
    assert first.ports == again.ports
    assert len(set(first.ports.values())) == len(first.ports)
    assert first.token == again.token
    assert (tmp_path / "a/pki/tokens.csv").stat().st_mode & 0o777 == 0o600


def test_clusters_side_by_side_have_networks_and_ports_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "are_apart", lambda: True)
    monkeypatch.setattr(cluster, "NETWORKS", ("10.98", "10.99"))
    monkeypatch.delenv(cluster.NETWORK, raising=False)
    places = [Place(tmp_path / name) for name in "ab"]
    with cluster.free_network() as first, cluster.free_network() as second:
        for place, network in zip(places, (first, second), strict=True):
            place.write("network", network)
    assert [place.network for place in places] == ["10.98", "10.99"]
    assert not {*places[0].ports.values()} & {*places[1].ports.values()}
    with cluster.free_network() as again:  # it was given back
        assert again == first
