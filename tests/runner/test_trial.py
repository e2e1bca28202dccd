"""A job that does nothing, for doctor: what is said of it, and that it is removed."""

from __future__ import annotations

import pytest

from xrun.errors import BackendUnavailable
from xrun.runner import Runner, get_runner, trial
from xrun.runner.diagnosis import Finding, Verdict
from xrun.schedulers.memory.scheduler import MemoryScheduler


@pytest.fixture(autouse=True)
def home(xrun_home: object) -> None:
    """One of its own."""


def tried(runner: Runner, patience: float = 30) -> Finding:
    return trial.run(runner, "memory", "", patience, lambda _: None, lambda: None)


def test_it_ends_well_and_is_gone() -> None:
    with get_runner() as runner:
        found = tried(runner)
        assert (found.verdict, found.subject, found.fix) == (Verdict.OK, "job", ""), found
        assert list(runner.list("memory")) == []
        assert runner.history.recent() == []


def test_a_system_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise BackendUnavailable("not\nthere")

    monkeypatch.setattr(MemoryScheduler, "submit_request", away)
    with get_runner() as runner:
        found = tried(runner)
    assert (found.verdict, found.detail, found.unreachable) == (Verdict.BROKEN, "not there", True)


def test_an_interruption_removes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with get_runner() as runner:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(runner, "watch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tried(runner)
        assert list(runner.list("memory")) == []
