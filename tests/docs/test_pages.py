"""Every page does what it says, block by block."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, BadBlock, pages, read
from tests.docs.story import Failed, Story

TRAINS = "examples/ddp/train.py"
"""Pages that run this train with torch; one after the other, since each fills the machine."""


def cases() -> list[object]:
    marks = [pytest.mark.timeout(400), pytest.mark.xdist_group("torch")]
    return [pytest.param(page, marks=marks if TRAINS in (ROOT / page).read_text() else []) for page in pages()]


@pytest.mark.parametrize("page", cases())
def test_page(page: str, tmp_path: Path) -> None:
    problem = ""
    try:
        with Story(tmp_path) as story:
            for block in read(page):
                story.tell(block)
    except (BadBlock, Failed) as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)  # the page's own file and line, and no frames of the test
