"""What naming, finding and calling a component loads: each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "rich",
    "click",
    "yaml",
    "docstring_parser",
    "fsspec",
    "importlib.metadata",
    "xrun.schedulers",
    "xrun.runner",
}


def loaded_after(code: str) -> set[str]:
    code = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_names_import_no_component() -> None:
    loaded = loaded_after("from xrun.components import names; names()")
    assert not loaded & {*HEAVY, "xrun.components.dist", "xrun.components.utils", "xrun.components.signature"}


@pytest.mark.parametrize("args", ["{'script': 't.py', 'j': '2x4'}", "['--script', 't.py', '-j', '2x4', '--', 'x']"])
def test_a_call_loads_nothing_heavy(args: str) -> None:
    loaded = loaded_after(f"from xrun.components import bind, find; bind(find('dist.ddp'), {args})")
    assert not loaded & {*HEAVY, "xrun.components.utils", "xrun.components.help", "xrun.specs.named"}


def test_a_file_loads_nothing_heavy(tmp_path: object) -> None:
    file = f"{tmp_path}/a.py"
    with open(file, "w") as f:
        f.write("from xrun.specs import AppDef\ndef f(x: int = 1) -> AppDef:\n    return AppDef('a')\n")
    loaded = loaded_after(f"from xrun.components import bind, find; bind(find('{file}:f'), ['--x', '2'])")
    assert not loaded & HEAVY


def test_help_parses_the_docstring() -> None:
    loaded = loaded_after("from xrun.components import find, format_help; format_help(find('dist.ddp'))")
    assert loaded & HEAVY == {"docstring_parser"}


def test_public_names_are_there() -> None:
    import xrun.components as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = package.nonesuch
