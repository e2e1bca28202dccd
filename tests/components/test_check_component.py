from __future__ import annotations

import pytest

from xrun.components import finder
from xrun.specs import AppDef, Role
from xrun.testing.components import check_component

ARGUMENTS: dict[str, dict[str, str]] = {
    "dist.ddp": {"script": "t.py"},
    "dist.spmd": {"m": "a.b"},
    "utils.binary": {"entrypoint": "true"},
    "utils.copy": {"src": "a", "dst": "b"},
    "utils.python": {"c": "1"},
    "utils.touch": {"file": "a"},
}


@pytest.mark.parametrize("name", finder.names())
def test_builtins(name: str) -> None:
    words = ["true"] if name == "utils.sh" else []
    assert isinstance(check_component(finder.find(name).fn, *words, **ARGUMENTS.get(name, {})), AppDef)


def test_every_finding_at_once() -> None:
    def f(a: str, b: int = 1) -> AppDef:
        """F.

        Args:
            a:
            c: nothing.
        """
        return AppDef("", [Role("bad name", entrypoint="x")])

    with pytest.raises(AssertionError) as caught:
        check_component(f, "x")
    text = str(caught.value)
    for said in ("'a' is not explained", "'b' is not explained", "explains 'c'", "XR001", "XR005"):
        assert said in text


def test_unusable_undocumented_and_raising() -> None:
    def untyped(a):  # type: ignore[no-untyped-def]
        raise ValueError("no")

    def bare() -> AppDef:
        return 5  # type: ignore[return-value]

    with pytest.raises(AssertionError, match=r"(?s)'a' has no type.*-> AppDef.*it raised ValueError: no"):
        check_component(untyped, 1)
    with pytest.raises(AssertionError, match=r"(?s)no docstring.*it returned 5, not an AppDef"):
        check_component(bare)


def test_a_warning_is_no_finding() -> None:
    def f() -> AppDef:
        """F."""
        return AppDef("f", [Role("f", entrypoint="echo", args=["${app_ids}"])])

    assert check_component(f).name == "f"
