"""What a package says it has, it has."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def packages() -> list[str]:
    folders = [path.parent.relative_to(ROOT) for path in (ROOT / "xrun").rglob("__init__.py")]
    return sorted(".".join(folder.parts) for folder in folders)


@pytest.mark.parametrize("name", packages())
def test_package(name: str) -> None:
    package = importlib.import_module(name)
    exported = getattr(package, "__all__", [])

    assert package.__doc__, "a package's docstring says what may be in it"
    assert [n for n in exported if not hasattr(package, n)] == []
    assert len(exported) == len(set(exported))


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "xrun").rglob("*.py")}

    assert {str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()} == set()
