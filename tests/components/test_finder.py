from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from xrun import plugins
from xrun.components import dist, finder, loading, signature
from xrun.errors import InvalidComponent, UnknownName, UsageError

TRAIN = """\
from __future__ import annotations
from xrun.specs import AppDef, Role

def train(x: int = 1) -> AppDef:
    '''Trains.'''
    return AppDef("train", [Role("r", entrypoint="true", args=[str(x)])])

def trial(x: int = 1) -> AppDef:
    return train(x)

def helper() -> int:
    return 1

def _private() -> AppDef:
    return train()
"""

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What loading changes in the interpreter is put back."""
    modules, path = dict(sys.modules), list(sys.path)
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(loading, "_entered", set())
    yield
    sys.path[:] = path
    for name in [n for n in sys.modules if n not in modules]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Makes entry points of the group, as an installed package would have them."""

    def register(targets: dict[str, str]) -> None:
        monkeypatch.setattr(plugins, "targets", lambda group: targets if group == plugins.COMPONENTS else {})
        monkeypatch.setattr(plugins, "_broken", {})

    register({})
    return register


@pytest.fixture
def plugin(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, register: object) -> ModuleType:
    write("acme_plugin.py", TRAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return importlib.import_module("acme_plugin")


def test_builtins_are_named_as_they_are_written() -> None:
    assert finder.names() == sorted(finder.BUILTINS)
    for name, target in finder.BUILTINS.items():
        component = finder.find(name)
        assert f"{component.fn.__module__}:{component.fn.__name__}" == target
        assert name == f"{target.rpartition('.')[2].replace(':', '.')}"
        assert signature.check(component.fn) == []


def test_list_components_says_what_each_does(register: object) -> None:
    listed = dict(finder.list_components())
    assert list(listed) == finder.names()
    assert listed["utils.echo"] == "Prints a message."
    assert all(listed.values())


def test_component_knows_itself() -> None:
    component = finder.find("utils.echo")
    assert [p.name for p in component.parameters] == ["msg", "image", "num_replicas"]
    assert component.source.startswith("def echo(")


def test_by_import_path() -> None:
    assert finder.find("xrun.components.dist:ddp").fn is dist.ddp


def test_file(write: Write) -> None:
    path = write("a/train.py", TRAIN)
    component = finder.find(f"{path}:train")
    assert signature.bind(component, ["--x", "5"]).roles[0].args == ["5"]
    assert (component.doc, component.name) == ("Trains.", f"{path}:train")
    assert component.source.startswith("def train(")
    assert finder.find(f"{path}:trial").doc == ""


def test_file_is_split_at_the_last_colon_and_may_have_any_suffix(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a:b/train", TRAIN)
    assert finder.find(f"{path}:train").doc == "Trains."
    monkeypatch.chdir(path.parent)
    assert finder.find("train:train").doc == "Trains."


def test_file_is_read_once_until_it_changes(write: Write) -> None:
    path = write("train.py", TRAIN)
    first = finder.find(f"{path}:train").fn
    assert finder.find(f"{path}:train").fn is first
    stat = path.stat()
    write("train.py", TRAIN.replace("Trains.", "Drains."))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    changed = finder.find(f"{path}:train")
    assert changed.doc == "Drains."
    assert changed.source.count("Drains") == 1
    assert not (path.parent / "__pycache__").exists()


def test_siblings_are_importable_and_files_of_one_name_stay_apart(write: Write) -> None:
    text = "import common\nfrom xrun.specs import AppDef\ndef f() -> AppDef:\n"
    text += "    import late\n    return AppDef(common.N + late.N)\n"
    for folder in ("a", "b"):
        write(f"{folder}/jobs.py", text)
        write(f"{folder}/common.py", f"N = {folder!r}")
        write(f"{folder}/late/__init__.py", f"N = {folder!r}")
    a, b = (str(write(f"{folder}/jobs.py", text)) for folder in ("a", "b"))
    assert [signature.bind(finder.find(f"{p}:f"), {}).name for p in (a, b, a, b)] == ["aa", "bb", "aa", "bb"]


def test_a_module_from_elsewhere_is_not_forgotten(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("root/common.py", "")
    write("root/jobs.py", TRAIN)
    write("b/common.py", "")
    write("b/jobs.py", TRAIN)
    monkeypatch.syspath_prepend(str(tmp_path / "root"))
    before = importlib.import_module("common")
    finder.find(f"{tmp_path}/root/jobs.py:train")
    finder.find(f"{tmp_path}/b/jobs.py:train")
    assert importlib.import_module("common") is before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ndef f(:\n", r"broken.py:2: SyntaxError: "),
        ("\n\nimport nonesuch_module\n", r"broken.py:3: ModuleNotFoundError: No module named 'nonesuch_module'"),
        ("def g():\n    raise ValueError('a\\nb')\ng()\n", r"broken.py:2: ValueError: a$"),
        ("import sys\nsys.exit()\n", r"broken.py:2: SystemExit"),
        ("from bad import x\n", r"bad.py:2: ZeroDivisionError: "),
        ("import json\njson.loads('{')\n", r"broken.py:2: JSONDecodeError: "),
        ("x = 'a\0b'\n", r"broken.py.*null bytes"),
        ("1 +\n", r"broken.py:1: SyntaxError: "),
    ],
)
def test_broken_file_is_one_line_with_the_place(write: Write, text: str, said: str) -> None:
    write("bad.py", "\n1 / 0\n")
    path = write("broken.py", text)
    for _ in range(2):
        with pytest.raises(InvalidComponent, match=said) as caught:
            finder.find(f"{path}:f")
        assert "\n" not in str(caught.value)


def test_mended_file_loads(write: Write) -> None:
    path = write("train.py", "1 / 0")
    with pytest.raises(InvalidComponent):
        finder.find(f"{path}:train")
    write("train.py", TRAIN)
    assert finder.find(f"{path}:train")


def test_missing_things_show_near_misses(write: Write, tmp_path: Path) -> None:
    path = write("train.py", TRAIN)
    with pytest.raises(UnknownName, match=r"unknown file .*trian.py'; did you mean /.*/train.py\?"):
        finder.find(f"{tmp_path}/trian.py:train")
    with pytest.raises(
        UnknownName, match=r"unknown function 'trane'; did you mean train or trial\?; looked in .*train.py"
    ):
        finder.find(f"{path}:trane")
    with pytest.raises(UnknownName, match="unknown file"):
        finder.find(f"{tmp_path}/nowhere/a.py:f")
    with pytest.raises(InvalidComponent, match="Is a directory"):
        finder.find(f"{tmp_path}/:f")


@pytest.mark.parametrize("name", [":f", "a.py:", ":"])
def test_half_a_name(name: str) -> None:
    with pytest.raises(UsageError, match=r"write FILE\.py:FUNCTION"):
        finder.find(name)


def test_module_in_the_working_directory(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("acme_pkg/__init__.py", "")
    write("acme_pkg/jobs.py", TRAIN)
    write("json.py", "raise ValueError('not this one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert finder.find("acme_pkg.jobs:train").doc == "Trains."
    assert finder.find("json:loads").fn.__module__ == "json"


def test_missing_and_broken_modules(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write("acme_bad.py", "\nimport nonesuch_module\n")
    write("acme_exit.py", "raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    for name in ("acme_none:f", "acme_bad.sub:f", "xrun.none:f"):
        with pytest.raises((UnknownName, InvalidComponent)):
            finder.find(name)
    with pytest.raises(UnknownName, match="unknown module 'acme_none'; looked in"):
        finder.find("acme_none:f")
    with pytest.raises(InvalidComponent, match=r"acme_bad.py:2: ModuleNotFoundError: .*nonesuch_module"):
        finder.find("acme_bad:f")
    with pytest.raises(InvalidComponent, match=r"acme_exit.py:1: SystemExit: 3"):
        finder.find("acme_exit:f")


def test_unknown_name(register: Callable[[dict[str, str]], None]) -> None:
    register({"acme.trainer": "none:none"})
    with pytest.raises(UnknownName, match=r"unknown component 'utils.ecoh'; did you mean utils.echo"):
        finder.find("utils.ecoh")
    with pytest.raises(UnknownName, match=r"did you mean acme.trainer"):
        finder.find("acme.trainr")
    with pytest.raises(UnknownName, match=r"write train.py:FUNCTION"):
        finder.find("train.py")


def test_plugins(plugin: ModuleType, register: Callable[[dict[str, str]], None]) -> None:
    register(
        {"acme": "acme_plugin", "acme2": "acme_plugin:train", "utils": "acme_plugin", "dist.ddp": "acme_plugin:train"}
    )
    assert finder.find("acme.train").fn is plugin.train
    assert finder.find("acme2").fn is plugin.train
    assert finder.find("utils.train").fn is plugin.train
    assert finder.find("dist.ddp").fn is dist.ddp
    listed = dict(finder.list_components())
    assert listed.keys() - finder.BUILTINS.keys() == {"acme.train", "acme.trial", "acme2", "utils.train", "utils.trial"}
    assert listed["dist.ddp"] == finder.find("dist.ddp").doc
    assert "acme" in finder.names(with_plugins=True)


def test_plugin_near_misses(plugin: ModuleType, register: Callable[[dict[str, str]], None]) -> None:
    register({"acme": "acme_plugin"})
    with pytest.raises(UnknownName, match=r"did you mean acme.train or acme.trial"):
        finder.find("acme.trin")
    with pytest.raises(UnknownName, match=r"there are: acme.train, acme.trial; the plugin is a module"):
        finder.find("acme")
    with pytest.raises(UnknownName):
        finder.find("acme.helper")


def test_broken_plugin_is_told_when_it_is_asked_for(
    plugin: ModuleType, register: Callable[[dict[str, str]], None]
) -> None:
    register({"bad": "nonesuch_module", "acme": "acme_plugin"})
    for name in ("bad", "bad.fn", "bad"):
        with pytest.raises(UnknownName, match=r"plugin 'bad' .* can't be loaded: ModuleNotFoundError"):
            finder.find(name)
    assert finder.find("utils.echo")
    assert finder.find("acme.train")
    assert "acme.train" in dict(finder.list_components())


def test_source_that_is_gone() -> None:
    with pytest.raises(InvalidComponent, match="source can't be read"):
        _ = finder.Component("x", eval("lambda: 0")).source
