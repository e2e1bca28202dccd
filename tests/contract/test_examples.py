"""The contract on the schedulers of examples/."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest


@pytest.mark.timeout(400)
def test_the_example_plugin(keeps_the_contract: Callable[[str], None]) -> None:
    keeps_the_contract("plugin")


@pytest.mark.timeout(400)
@pytest.mark.skipif(not shutil.which("tsp"), reason="there is no task-spooler here: apt-get install task-spooler")
def test_task_spooler(keeps_the_contract: Callable[[str], None]) -> None:
    keeps_the_contract("tsp")
