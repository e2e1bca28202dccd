"""Which local code travels, as it is typed."""

from __future__ import annotations

import pytest

from xrun.errors import InvalidValue
from xrun.specs.workspace import Workspace


@pytest.mark.parametrize(
    ("text", "projects"),
    [
        ("", {}),
        (".", {".": ""}),
        ("/a/b", {"/a/b": ""}),
        ("s3://bucket/a", {"s3://bucket/a": ""}),
        ("lib=/src/lib", {"/src/lib": "lib"}),
        ("=/src", {"/src": ""}),
        (".,lib=../lib", {".": "", "../lib": "lib"}),
        ("a=/x=y", {"/x=y": "a"}),
        (",.,", {".": ""}),
    ],
)
def test_from_str(text: str, projects: dict[str, str]) -> None:
    workspace = Workspace.from_str(text)

    assert workspace == Workspace(projects)
    assert bool(workspace) is bool(projects)


def test_a_place_without_a_source() -> None:
    with pytest.raises(InvalidValue, match="workspace 'lib=' has no source; write DIR or dst=DIR"):
        Workspace.from_str(".,lib=")


def test_a_source_goes_to_one_place() -> None:
    with pytest.raises(InvalidValue, match="has '/src' twice"):
        Workspace.from_str("a=/src,b=/src")
