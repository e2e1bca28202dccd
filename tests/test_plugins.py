"""Entry points of packages that are really installed on sys.path, whole and broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xrun import plugins

GROUP = plugins.COMPONENTS
Install = Callable[..., None]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_broken", {})
    plugins.targets.cache_clear()
    yield
    plugins.targets.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a package with its dist-info into a folder of its own, then the first one on sys.path."""

    def put(name: str, code: str, entry_points: str) -> None:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(code)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(str(site))

    return put


def test_a_plugin_is_found_without_being_imported(install: Install) -> None:
    install("acme_a", "raise RuntimeError('imported')", f"[{GROUP}]\nzeta = acme_a:fn\nalpha = acme_a:other\n")

    found = plugins.targets(GROUP)

    assert {name: found[name] for name in ("alpha", "zeta")} == {"alpha": "acme_a:other", "zeta": "acme_a:fn"}
    assert list(found) == sorted(found)
    assert "zeta" not in plugins.targets(plugins.SCHEDULERS)
    assert plugins.broken() == []


def test_a_good_plugin_is_loaded(install: Install) -> None:
    install("acme_b", "def fn():\n    return 7\n", f"[{GROUP}]\nb = acme_b:fn\nmodule = acme_b\n")

    loaded, module = plugins.load(GROUP, "b"), plugins.load(GROUP, "module")

    assert loaded is not None
    assert loaded() == 7
    assert module is not None
    assert module.fn is loaded
    assert plugins.broken() == []


def test_a_name_that_none_has(install: Install) -> None:
    assert plugins.load(GROUP, "nobody") is None
    assert plugins.broken() == []
    assert plugins.broken_hint(GROUP, "nobody") == ""


@pytest.mark.parametrize(
    ("name", "code", "target", "reason"),
    [
        ("acme_c", "import acme_missing", "acme_c:fn", "ModuleNotFoundError: No module named 'acme_missing'"),
        ("acme_d", "", "acme_d:fn", "AttributeError: module 'acme_d' has no attribute 'fn'"),
        ("acme_e", "raise ValueError('one\\ntwo')", "acme_e:fn", "ValueError: one"),
        ("acme_f", "import sys; sys.exit(3)", "acme_f:fn", "SystemExit: 3"),
        ("acme_g", "def broken(:", "acme_g:fn", "SyntaxError: "),
        ("acme_h", "", "no such module", "it is not module:attribute"),
        ("acme_i", "raise ValueError", "acme_i:fn", "ValueError: "),
    ],
)
def test_a_broken_plugin_is_recorded_and_not_fatal(
    install: Install, name: str, code: str, target: str, reason: str
) -> None:
    install(name, code, f"[{GROUP}]\nbad = {target}\n")
    install(f"{name}_good", "fn = 7", f"[{GROUP}]\ngood = {name}_good:fn\n")

    assert plugins.load(GROUP, "bad") is None
    assert plugins.load(GROUP, "good") == 7
    (broken,) = plugins.broken()
    assert (broken.group, broken.name, broken.target) == (GROUP, "bad", target)
    assert broken.reason.startswith(reason)
    assert "\n" not in str(broken)
    assert plugins.broken_hint(GROUP, "bad") == f"plugin 'bad' ({GROUP}, {target}) can't be loaded: {broken.reason}"
    assert plugins.broken(GROUP) == [broken]
    assert plugins.broken(plugins.SCHEDULERS) == []


def test_a_broken_plugin_is_imported_once(install: Install, tmp_path: Path) -> None:
    log = tmp_path / "log"
    install(
        "acme_j",
        f"with open({str(log)!r}, 'a') as log:\n    log.write('x')\nraise ValueError",
        f"[{GROUP}]\nbad = acme_j:fn\n",
    )

    assert plugins.load(GROUP, "bad") is plugins.load(GROUP, "bad") is None
    assert log.read_text() == "x"


def test_damaged_metadata_hides_no_other_package(install: Install) -> None:
    install("acme_k", "fn = 7", f"[{GROUP}]\ngood = acme_k:fn\n")
    install("acme_l", "", f"[{GROUP}]\nthis line says nothing\n")

    assert plugins.load(GROUP, "good") == 7
    (broken,) = plugins.broken(GROUP)
    assert (broken.name, broken.target) == ("acme_l", "entry_points.txt")
    assert "acme_l" in str(broken)


@pytest.mark.parametrize("metadata", [b"", b"Name: \xff"])
def test_nor_does_a_package_without_a_name(install: Install, tmp_path: Path, metadata: bytes) -> None:
    install("acme_o", "", f"[{GROUP}]\nthis line says nothing\n")
    (tmp_path / "acme_o" / "acme_o-1.0.dist-info" / "METADATA").write_bytes(metadata)

    assert isinstance(plugins.targets(GROUP), dict)
    assert [broken.name for broken in plugins.broken()] == ["?"]


def test_of_two_of_one_name_the_first_on_the_path_wins(install: Install) -> None:
    install("acme_m", "fn = 'second'", f"[{GROUP}]\nsame = acme_m:fn\n")
    install("acme_n", "fn = 'first'", f"[{GROUP}]\nsame = acme_n:fn\n")

    assert plugins.load(GROUP, "same") == "first"


def test_the_groups_are_those_that_are_documented() -> None:
    assert {plugins.SCHEDULERS, plugins.COMPONENTS, plugins.NAMED_RESOURCES, plugins.CLI_COMMANDS} == {
        *("xrun.schedulers", "xrun.components", "xrun.named_resources", "xrun.cli.commands")
    }
