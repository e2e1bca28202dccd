"""``python -m xrun.testing.table REPORT.xml...``: the contract as a table, from what a run of the suite found.

Rows are the suite's cases, columns the schedulers in the JUnit reports (``pytest --junitxml=REPORT.xml``); a cell is
``holds``, ``refused`` (asked for, not declared, and refused in the right way), ``fails`` or ``not run``.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import NamedTuple

from xrun.testing.contract import SchedulerContract
from xrun.testing.contract.base import OUTCOME, SCHEDULER, ContractBase

NOT_RUN = "not run"
_GROUP = re.compile(r"@[^@\]]*$")  # what pytest-xdist puts behind the name of a test that has a group
_WORST = ("fails", NOT_RUN, "refused", "holds")


class Fact(NamedTuple):
    """One row: the case's function and, if it has several, which of them; ``""`` else."""

    case: str
    which: str

    @property
    def sentence(self) -> str:
        """It as a person would say it: the case's docstring if it has one, else its name."""
        said = getattr(SchedulerContract, self.case, None).__doc__ or self.case.removeprefix("test_").replace("_", " ")
        text = said.partition("\n")[0].removesuffix(".")
        return text[:1].upper() + text[1:] + (f": {self.which}" if self.which else "")


Results = dict[str, dict[Fact, str]]
"""Scheduler -> fact -> cell."""

Cells = dict[str, dict[str, str]]
"""The same by the facts' sentences, as a page has them."""


def read(reports: Iterable[Path]) -> Results:
    """What JUnit reports say of the contract's cases; other tests are passed over.

    Args:
        reports: files, or folders whose ``*.xml`` are read.
    """
    found: Results = {}
    for path in _files(reports):
        for case in ET.parse(path).iter("testcase"):  # noqa: S314 - written by the user's own pytest
            said = {p.get("name"): p.get("value", "") for p in case.iter("property")}
            name, _, which = _GROUP.sub("", case.get("name", "")).partition("[")
            if SCHEDULER in said:
                cells = found.setdefault(said[SCHEDULER] or "", {})
                fact = Fact(name, which.removesuffix("]"))
                cells[fact] = min(cells.get(fact, "holds"), _cell(case, said), key=_WORST.index)
    return found


def groups() -> Iterable[tuple[str, str, list[str]]]:
    """The suite's classes in order: name, what holds in a sentence, their cases."""
    for part in SchedulerContract.__bases__:
        if issubclass(part, ContractBase):
            cases = [n for n, f in vars(part).items() if n.startswith("test_") and isinstance(f, FunctionType)]
            yield part.__name__, (part.__doc__ or "").partition("\n")[0], cases


def rows(results: Results) -> list[tuple[str, list[Fact]]]:
    """The table's facts under their groups' headings, in the suite's order; all of them, run or not."""
    every = dict.fromkeys(fact for cells in results.values() for fact in cells)
    table = []
    for _, holds, cases in groups():
        table.append((holds, [f for case in cases for f in ([f for f in every if f.case == case] or [Fact(case, "")])]))
    return table


def render(results: Results, columns: Sequence[str] | None = None) -> str:
    """The table in Markdown.

    Args:
        results: what `read` gave.
        columns: the schedulers, in order (default: all, by name).
    """
    names = sorted(results) if columns is None else columns
    lines = []
    for heading, facts in rows(results):
        lines += [f"### {heading}", "", f"| fact | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        lines += [f"| {f.sentence} | {' | '.join(_cells(results, names, f))} |" for f in facts]
        lines.append("")
    return "\n".join(lines)


def parse(text: str) -> Cells:
    """The cells of a table that `render` wrote."""
    found: Cells = {}
    names: list[str] = []
    for line in text.splitlines():
        if not line.startswith("| "):
            continue
        # a sentence holds no bar; GitHub and MyST would cut the row at one
        first, *rest = [cell.strip() for cell in line.strip("|").split("|")]
        if first == "fact":
            names = rest
            continue
        for name, cell in zip(names, rest, strict=True):
            found.setdefault(name, {})[first] = cell
    return found


def _files(reports: Iterable[Path]) -> list[Path]:
    return [file for path in reports for file in (sorted(path.glob("*.xml")) if path.is_dir() else [path])]


def _cell(case: ET.Element, said: Mapping[str | None, str]) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "fails"
    return NOT_RUN if case.find("skipped") is not None else said.get(OUTCOME, NOT_RUN)


def _cells(results: Results, names: Sequence[str], fact: Fact) -> list[str]:
    return [results.get(name, {}).get(fact, NOT_RUN) for name in names]


def main(words: Sequence[str]) -> int:
    """Prints the table of some reports."""
    try:
        results = read(map(Path, words))
    except (OSError, ET.ParseError) as error:
        sys.stderr.write(f"no JUnit report in {' '.join(words)}: {error}\n")
        return 2
    if not results:
        sys.stderr.write("no report with the contract's cases; make one with: pytest --junitxml=report.xml\n")
        return 2
    sys.stdout.write(re.sub(r"^### ", "## ", render(results), flags=re.MULTILINE))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
