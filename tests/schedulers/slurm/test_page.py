"""What docs/slurm.md says is so, on a real cluster."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import BadBlock, read
from tests.docs.story import Failed, Story
from tests.systems.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]

ROOT = Path("/tmp/xrun-docs-slurm")
"""The job root that the page names."""


def test_the_page(cluster: SlurmCluster, tmp_path: Path) -> None:
    problem = ""
    try:
        with Story(tmp_path) as story:
            for block in read("docs/slurm.md"):
                story.tell(block)
    except (BadBlock, Failed) as error:
        problem = str(error)
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    if problem:
        pytest.fail(problem, pytrace=False)
