"""What `Scheduler.check` adds to the checks of a job: the request's own words, and the system's."""

from __future__ import annotations

from typing import Any

import pytest

from xrun.errors import BackendUnavailable
from xrun.schedulers.home import unwritable
from xrun.schedulers.memory.scheduler import MemoryScheduler
from xrun.specs import AppDef, Role
from xrun.specs.problems import Problem, Severity

APP = AppDef("a", [Role("r", entrypoint="true")])


class Talkative(MemoryScheduler):
    """Rounds, and asks a system."""

    asked = 0

    def request_notices(self, request: Any) -> list[str]:
        return ["cpu 1.5 becomes 2"]

    def check_request(self, info: Any) -> list[Problem]:
        self.asked += 1
        return [Problem("XR090", "roles", "the quota is used up", "ask for more")]


def test_what_is_rounded_is_a_warning_and_the_system_is_asked_only_when_told_to() -> None:
    with_notices = Talkative()
    (warning,) = with_notices.check(APP, {})
    assert (warning.code, warning.severity, warning.message) == ("XR049", Severity.WARNING, "cpu 1.5 becomes 2")
    assert with_notices.asked == 0

    assert [p.code for p in with_notices.check(APP, {}, server=True)] == ["XR049", "XR090"]
    assert with_notices.asked == 1


def test_a_system_is_not_asked_about_a_job_that_is_wrong() -> None:
    scheduler = Talkative()
    assert [p.code for p in scheduler.check(AppDef("a", []), {}, server=True)] == ["XR002"]
    assert scheduler.asked == 0


def test_a_system_that_is_away_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Any, info: Any) -> list[Problem]:
        raise BackendUnavailable("no route")

    monkeypatch.setattr(Talkative, "check_request", away)
    with pytest.raises(BackendUnavailable):
        Talkative().check(APP, {}, server=True)


def test_a_check_changes_nothing() -> None:
    before = repr(APP)
    scheduler = MemoryScheduler()
    scheduler.check(APP, {}, "id", server=True)
    assert repr(APP) == before
    assert scheduler.list() == []


def test_folders_that_can_be_written(tmp_path: Any) -> None:
    assert unwritable(str(tmp_path / "a" / "b")) == ""
    (tmp_path / "file").write_text("")
    assert "is no folder" in unwritable(str(tmp_path / "file"))
    assert "is no folder" in unwritable(str(tmp_path / "file" / "below"))
    assert "not writable" in unwritable("/proc/1/x") or "no folder" in unwritable("/proc/1/x")
    assert "has no size" in unwritable("/proc") or "not writable" in unwritable("/proc")
    assert "no space" not in unwritable("/proc/xrun")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert unwritable(str(tmp_path / "dangling")) != ""
