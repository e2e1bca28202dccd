"""The contract on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xrun.runner import Runner, get_runner
from xrun.testing import SchedulerContract

pytestmark = pytest.mark.xdist_group("contract-local")


class TestLocal(SchedulerContract):
    scheduler = "local"

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
        with pytest.MonkeyPatch.context() as patch, get_runner() as runner:
            patch.setenv("XRUN_HOME", str(tmp_path_factory.mktemp("home")))
            yield runner
