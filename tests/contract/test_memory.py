"""The contract on the in-memory scheduler."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract

pytestmark = pytest.mark.xdist_group("contract-memory")


class TestMemory(SchedulerContract):
    scheduler = "memory"

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> Iterator[Runner]:
        with get_runner() as runner:
            yield runner
