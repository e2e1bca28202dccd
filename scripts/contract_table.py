"""``contract_table.py [--write] REPORTS``: the table in docs/contract.md against what the contract suite just found.

A scheduler that did not run, since its system isn't here, is not compared; with CI=true that is a failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from xrun.testing import table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "contract.md"
BEGIN, END = "<!-- made by scripts/contract_table.py --write -->\n", "<!-- end of the table -->\n"

COLUMNS = ("local", "docker", "slurm", "kubernetes job", "kubernetes jobset", "memory", "tsp", "example")
"""The table's schedulers; `example` is examples/plugin, which declares little."""


def main(words: Sequence[str]) -> int:
    """Compares the page with the reports, or writes it."""
    write = "--write" in words
    reports = [Path(word) for word in words if not word.startswith("-")]
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    committed = table.parse(page[begin:end])
    found = table.read(reports)
    absent = [name for name in COLUMNS if name not in found]
    for name in absent:
        say(f"{name} did not run, so its column is not compared")
    if write:
        facts = [fact for _, facts in table.rows(found) for fact in facts]
        for name in absent:
            kept = committed.get(name, {})
            found[name] = {fact: kept[fact.sentence] for fact in facts if fact.sentence in kept}
        PAGE.write_text(f"{page[:begin]}\n{table.render(found, COLUMNS)}\n{page[end:]}")
        return 0
    ran = [name for name in COLUMNS if name not in absent]
    problems = differences(committed, table.parse(table.render(found, ran)), ran)
    problems += [f"{name}: no results, and CI has every system" for name in absent if os.environ.get("CI") == "true"]
    problems += [f"{name}: has results and no column" for name in found if name not in COLUMNS]
    for problem in problems:
        say(problem)
    if problems:
        say(f"if this is as it should be: scripts/contract_table.py --write {' '.join(words)}")
    return 1 if problems else 0


def differences(committed: table.Cells, found: table.Cells, ran: Sequence[str]) -> list[str]:
    """What the page says and this run doesn't, a line each."""
    return [
        f"{name}: {fact}: the page says {old.get(fact, 'nothing')}, the run {new.get(fact, 'nothing')}"
        for name in ran
        for old, new in [(committed.get(name, {}), found.get(name, {}))]
        for fact in dict.fromkeys([*new, *old])
        if old.get(fact) != new.get(fact)
    ]


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
