from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from xrun.components import finder
from xrun.components.finder import Component
from xrun.components.help import describe, format_help
from xrun.specs import AppDef

GOLDEN = Path(__file__).parent.parent / "golden"


class Kind(Enum):
    FAST = 1


def sample(
    *words: int,
    need: str,
    flag: bool = True,
    off: bool = False,
    kind: Kind = Kind.FAST,
    items: list[int] = [1, 2],  # noqa: B006
    table: dict[str, str] = {"a": "b"},  # noqa: B006
    none: str | None = None,
) -> AppDef:
    """Does a thing.

    Says more about it.

    Example::

        xrun   sample

    Args:
        need: what
            is needed.
        words: numbers.
    """
    return AppDef("sample")


def test_golden() -> None:
    text = format_help(finder.find("dist.ddp"), width=100)
    golden = GOLDEN / "help_dist_ddp.txt"
    if os.environ.get("XRUN_UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(
    "line",
    [
        "Usage: xrun sample [OPTIONS] [[--] WORDS...]",
        "  Does a thing.",
        "  Says more about it.",
        "      xrun   sample",
        "  --need str           what is needed.  [required]",
        "  --flag / --no-flag   [default: yes]",
        "  --off / --no-off",
        "  --kind FAST          [default: FAST]",
        "  --items int,...      [default: 1,2]",
        "  --table key=str,...  [default: a=b]",
        "  --none str",
        "  --help               Show this message and exit.",
        "  WORDS...  numbers.",
    ],
)
def test_lines(line: str) -> None:
    assert line in [found.rstrip() for found in format_help(Component("sample", sample), 80).splitlines()]


def test_a_long_entry_has_its_help_below() -> None:
    def f(*words: str, an_option_with_a_very_long_name: str, a: str) -> AppDef:
        """F.

        Args:
            an_option_with_a_very_long_name: long.
        """
        return AppDef("f")

    lines = format_help(Component("f", f), 80).splitlines()
    at = lines.index("  --an-option-with-a-very-long-name str")
    assert lines[at + 1] == "          long.  [required]"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_builtin_at_every_width(width: int) -> None:
    for name in finder.names():
        component = finder.find(name)
        text = format_help(component, width)
        assert all(
            f"--{p.name.replace('_', '-')}" in text for p in component.parameters if len(p.name) > 1 and not p.variadic
        )


def test_no_docstring_and_no_parameters() -> None:
    def bare() -> AppDef:
        return AppDef("bare")

    text = format_help(Component("bare", bare), 80)
    assert text.startswith("Usage: xrun bare [OPTIONS]\n")
    assert "Show this message" in text


def test_malformed_docstring_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import docstring_parser

    def refuse(*_: Any) -> Any:
        raise docstring_parser.ParseError("no")

    def odd() -> AppDef:
        """Odd.

        More.
        """
        return AppDef("odd")

    monkeypatch.setattr(docstring_parser, "parse", refuse)
    found = describe(odd)
    assert (found.short, found.long, found.parameters, found.error) == ("Odd.", "More.", {}, "no")
