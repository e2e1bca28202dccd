"""The contract between xrun and a scheduler as tests: inherit `SchedulerContract` and give it a runner."""

from __future__ import annotations

import pytest

_PARTS = ("base", "environment", "values", "identity", "verdict", "retries", "stop", "logs", "secrets", "refusals")

# before they are imported, so that a failed assert of theirs shows its values in the author's own run
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from xrun.testing.contract.base import Job  # noqa: E402
from xrun.testing.contract.environment import EnvironmentCases  # noqa: E402
from xrun.testing.contract.identity import IdentityCases  # noqa: E402
from xrun.testing.contract.logs import LogCases  # noqa: E402
from xrun.testing.contract.refusals import RefusalCases  # noqa: E402
from xrun.testing.contract.retries import RetryCases  # noqa: E402
from xrun.testing.contract.secrets import SecretCases  # noqa: E402
from xrun.testing.contract.stop import StopCases  # noqa: E402
from xrun.testing.contract.values import ValueCases  # noqa: E402
from xrun.testing.contract.verdict import VerdictCases  # noqa: E402

__all__ = ["Job", "SchedulerContract"]


class SchedulerContract(
    EnvironmentCases,
    ValueCases,
    IdentityCases,
    VerdictCases,
    RetryCases,
    StopCases,
    LogCases,
    SecretCases,
    RefusalCases,
):
    """Every fact that holds on every scheduler, one small case each.

    A subclass gives a fixture ``runner``: a `Runner` whose scheduler is ready, of class scope, so that a job that
    several facts are read off runs once. Where its scheduler differs it sets the attributes of `ContractBase`. What a
    scheduler does not declare in its capabilities it must refuse before submission, with exit code 3; nothing is
    skipped.
    """
