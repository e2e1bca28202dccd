"""What follows from the code stands on the pages as the code has it today."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests.docs.blocks import ROOT
from tests.helpers import script
from xrun import errors
from xrun.cli.main import VERBS


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return script("reference")


@pytest.mark.parametrize("page", ["command-line.md", "json.md"])
def test_generated_pages_are_up_to_date(reference: ModuleType, page: str) -> None:
    text = (ROOT / "docs" / page).read_text()

    assert text == reference.updated(page, text), "run .venv/bin/python scripts/reference.py"


def test_every_generated_page_is_tested(reference: ModuleType) -> None:
    assert set(reference.PAGES) == {"command-line.md", "json.md"}


def test_every_verb_is_on_the_page() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text()

    assert re.findall(r"^## xrun (\S+)$", text, re.MULTILINE) == list(VERBS)


def test_what_is_out_of_date_is_seen(reference: ModuleType) -> None:
    text = (ROOT / "docs" / "command-line.md").read_text()

    assert reference.updated("command-line.md", text.replace("--dryrun", "--dry")) == reference.updated(
        "command-line.md", text
    )
    with pytest.raises(SystemExit, match="belong into it once"):
        reference.updated("command-line.md", "nothing")


def test_every_exit_code_is_on_the_page() -> None:
    table = (ROOT / "docs" / "exit-codes.md").read_text().partition("## ")[0]
    listed = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for number in row.split(",")}
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.XrunError)]

    assert listed == {c.exit_code for c in classes} | {0, 70, 130, 143, 141}
