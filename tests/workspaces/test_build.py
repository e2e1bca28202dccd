"""When an image is built, and what its layer holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspaces.conftest import FakeStore
from xrun.errors import BackendError, InvalidJob
from xrun.specs.workspace import Workspace
from xrun.workspaces.builder import BASE, HASH, LAYERS, MAX_LAYERS, build


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "top"
    (top / "pkg").mkdir(parents=True)
    (top / "train.py").write_text("print(1)\n" * 5)
    (top / "pkg/model.py").write_text("x = 1\n" * 100)
    return top


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_the_first_build_has_all_files(top: Path, cache: str) -> None:
    store = FakeStore()
    made = build(Workspace({str(top): ""}), "base", store, cache=cache)

    assert set(store.images[made]) == {"pkg", "pkg/model.py", "train.py"}
    assert store.labels[made][BASE] == "base"
    assert store.labels[made][LAYERS] == "1"
    assert len(store.labels[made][HASH]) == 64


@pytest.mark.parametrize("kept", [True, False])
def test_nothing_changed_nothing_built(top: Path, cache: str, kept: bool) -> None:
    store = FakeStore()
    cache = cache if kept else ""
    first = build(Workspace({str(top): ""}), "base", store, cache=cache)
    (top / "train.py").touch()

    assert build(Workspace({str(top): ""}), "base", store, cache=cache) == first
    assert build(Workspace({f"file://{top}": "."}), "base", store, cache=cache) == first
    assert len(store.layers) == 1
    assert build(Workspace({str(top): ""}), "other", store, cache=cache) != first
    assert build(Workspace({str(top): "sub"}), "base", store, cache=cache) != first


def test_a_change_is_a_small_layer(top: Path, cache: str) -> None:
    store = FakeStore()
    first = build(Workspace({str(top): ""}), "base", store, cache=cache)
    (top / "train.py").write_text("print(2)\n")
    (top / "new").mkdir()
    (top / "new/a.py").write_text("")
    second = build(Workspace({str(top): ""}), "base", store, cache=cache)

    onto, files = store.layers[-1]
    assert onto == first
    assert set(files) == {"train.py", "new", "new/a.py"}
    assert store.images[second]["train.py"] == (0o100644, b"print(2)\n")
    assert store.labels[second][LAYERS] == "2"


def test_without_a_memory_all_is_sent_again(top: Path) -> None:
    store = FakeStore()
    build(Workspace({str(top): ""}), "base", store)
    (top / "train.py").write_text("")
    build(Workspace({str(top): ""}), "base", store)

    assert [onto for onto, _ in store.layers] == ["base", "base"]


@pytest.mark.parametrize("change", ["removed", "folder", "link"])
def test_what_a_layer_cannot_say_starts_anew(top: Path, cache: str, change: str) -> None:
    store = FakeStore()
    build(Workspace({str(top): ""}), "base", store, cache=cache)
    (top / "train.py").unlink()
    if change == "folder":
        (top / "train.py").mkdir()
    if change == "link":
        (top / "train.py").symlink_to("pkg/model.py")
    made = build(Workspace({str(top): ""}), "base", store, cache=cache)

    onto, files = store.layers[-1]
    assert onto == "base"
    assert store.images[made] == files
    assert ("train.py" in files) == (change != "removed")


def test_much_that_changed_starts_anew(top: Path, cache: str) -> None:
    store = FakeStore()
    build(Workspace({str(top): ""}), "base", store, cache=cache)
    (top / "pkg/model.py").write_text("y = 1\n" * 100)
    build(Workspace({str(top): ""}), "base", store, cache=cache)

    assert [onto for onto, _ in store.layers] == ["base", "base"]


def test_layers_have_an_end(top: Path, cache: str) -> None:
    store = FakeStore()
    for i in range(MAX_LAYERS + 9):
        (top / "train.py").write_text(f"print({i})\n")
        made = build(Workspace({str(top): ""}), "base", store, cache=cache)
        assert store.images[made]["train.py"][1] == f"print({i})\n".encode()

    layers = [int(labels[LAYERS]) for labels in store.labels.values()]
    assert layers == [*range(1, MAX_LAYERS + 1), *[MAX_LAYERS] * 7, 1, 2]  # beside the last, then anew


@pytest.mark.parametrize("labels", [{LAYERS: "x"}, {LAYERS: ""}, {LAYERS: "²"}, {HASH: "../../etc"}, {HASH: ""}, {}])
def test_odd_labels_are_passed_over(top: Path, cache: str, labels: dict[str, str]) -> None:
    store = FakeStore()
    first = build(Workspace({str(top): ""}), "base", store, cache=cache)
    store.labels[first] = {BASE: "base", **({} if not labels else store.labels[first]), **labels}
    (top / "train.py").write_text("")
    build(Workspace({str(top): ""}), "base", store, cache=cache)

    assert store.layers[-1][0] == "base"


@pytest.mark.parametrize("ignored", [False, True])
def test_an_empty_workspace_is_a_layer_and_said(tmp_path: Path, ignored: bool) -> None:
    (tmp_path / "none").mkdir()
    if ignored:
        (tmp_path / "none/.xrunignore").write_text("*")
    store, said = FakeStore(), list[str]()

    assert build(Workspace({str(tmp_path / "none"): ""}), "base", store, notice=said.append) != "base"
    assert store.layers == [("base", {})]
    assert said == ["nothing of the workspace travels: it is empty, or all of it is ignored"]


def test_a_dockerfile_is_built_instead(top: Path, cache: str) -> None:
    (top / "Dockerfile.xrun").write_text("ARG IMAGE\nFROM $IMAGE\n")
    store = FakeStore()
    made = build(Workspace({str(top): ""}), "base", store, cache=cache)

    assert build(Workspace({str(top): ""}), "base", store, cache=cache) == made
    assert store.layers == []
    assert store.args == [{"IMAGE": "base"}]
    assert set(store.contexts[0]) == {"Dockerfile.xrun", "pkg", "pkg/model.py", "train.py"}

    build(Workspace({str(top): ""}), "base", store, cache=cache, again=True)
    assert len(store.contexts) == 2
    build(Workspace({str(top): ""}), "", store, cache=cache)
    assert store.args[-1] == {}


def test_no_image_and_no_dockerfile(top: Path) -> None:
    with pytest.raises(InvalidJob, match="Dockerfile.xrun: is not in the workspace, and there is no image"):
        build(Workspace({str(top): ""}), "", FakeStore())


def test_a_wrong_workspace_is_said_before_an_image_is_pulled(top: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match="nowhere: there is no such folder"):
        build(Workspace({str(tmp_path / "nowhere"): ""}), "gone", FakeStore())
    with pytest.raises(BackendError, match="there is no image gone"):
        build(Workspace({str(top): ""}), "gone", FakeStore())


def test_the_last_images_are_tried_only(top: Path, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xrun.workspaces.builder._LOOKED_AT", 1)
    store = FakeStore()
    build(Workspace({str(top): ""}), "base", store, cache=cache)
    build(Workspace({str(top): "elsewhere"}), "base", store, cache=cache)
    (top / "train.py").write_text("")
    build(Workspace({str(top): ""}), "base", store, cache=cache)

    assert store.layers[-1][0] == "base"
