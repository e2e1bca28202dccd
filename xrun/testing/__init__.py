"""For authors of schedulers and components: the tests that xrun's own must pass. Needs ``pip install xrun[testing]``.

::

    class TestMyScheduler(SchedulerContract):
        scheduler = "mine"

        @pytest.fixture(scope="class")
        @classmethod
        def runner(cls) -> Iterator[Runner]:
            with get_runner() as runner:
                yield runner
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xrun.testing.components import check_component
    from xrun.testing.contract import SchedulerContract
    from xrun.testing.hostile import HOSTILE

_HOMES = {"SchedulerContract": "contract", "HOSTILE": "hostile", "check_component": "components"}

__all__ = ["HOSTILE", "SchedulerContract", "check_component"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"xrun.testing.{_HOMES[name]}"), name)
