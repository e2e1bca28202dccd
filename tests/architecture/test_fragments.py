"""Changelog fragments and decision records are named so that they are found."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FRAGMENT = re.compile(r"\d+\.(feature|bugfix|doc|misc)(\.\d+)?\.md")
RECORD = re.compile(r"\d{4}-[a-z0-9-]+\.md")


def test_changelog_fragments() -> None:
    files = [path for path in (ROOT / "changelog.d").iterdir() if path.name != ".gitkeep"]

    assert [path.name for path in files if not FRAGMENT.fullmatch(path.name)] == []
    assert [path.name for path in files if not path.read_text().strip()] == []


def test_decision_records() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").iterdir())

    assert [name for name in names if not RECORD.fullmatch(name)] == []
    assert [int(name[:4]) for name in names] == list(range(len(names)))


def test_decision_records_have_their_number_and_parts() -> None:
    for path in (ROOT / "docs" / "decisions").iterdir():
        text = path.read_text()

        assert text.startswith(f"# {path.name[:4]}: "), path.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]


def test_links_of_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]

    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
