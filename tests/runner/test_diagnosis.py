"""What doctor finds, with systems and a history that are made up."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from xrun import plugins, schedulers
from xrun.errors import BackendError, BackendUnavailable, UnknownName, WaitTimeout
from xrun.runner import diagnosis
from xrun.runner.diagnosis import Finding, Verdict, bounded, diagnose
from xrun.schedulers.api import Probe
from xrun.schedulers.memory.scheduler import MemoryScheduler
from xrun.specs.handle import DEFAULT_SESSION

from .conftest import Write


@pytest.fixture(autouse=True)
def here(xrun_home: Any, write: Write) -> None:
    """A home and a working directory of its own, without a file."""


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Plugins that answer what a test says: probes, an error, or a function."""
    answers: dict[str, Any] = {}

    class Made(MemoryScheduler):
        def __init__(self, answer: Any) -> None:
            super().__init__(DEFAULT_SESSION)
            self.answer = answer

        def probe(self) -> list[Probe]:
            if isinstance(self.answer, BaseException):
                raise self.answer
            found: list[Probe] = self.answer() if callable(self.answer) else self.answer
            return found

    real = schedulers.create_scheduler

    def create(name: str, session: str, params: Any = None) -> Any:
        return Made(answers[name]) if name in answers else real(name, session, params)

    monkeypatch.setattr(schedulers, "create_scheduler", create)
    monkeypatch.setattr(schedulers, "scheduler_names", lambda: ["local", "memory", *answers])
    return answers


def of(findings: list[Finding], section: str) -> list[Finding]:
    return [f for f in findings if f.section == section]


def test_what_is_used_is_broken_what_is_not_is_missing(systems: dict[str, Any]) -> None:
    systems["acme"] = [Probe("tool", False, "no such tool"), Probe("other", True, "fine")]

    unused = diagnose()
    assert unused.used == ["local"]
    assert [(f.verdict, f.used) for f in of(unused.findings, "scheduler acme")] == [
        (Verdict.MISSING, False),
        (Verdict.OK, False),
    ]
    assert unused.failures == []

    used = diagnose("acme")
    assert [(f.subject, f.verdict) for f in used.failures] == [("tool", Verdict.BROKEN)]
    assert not used.failures[0].unreachable


@pytest.mark.parametrize(
    ("error", "detail", "unreachable"),
    [
        (BackendUnavailable("no route"), "no route", True),
        (BackendError("bad key"), "bad key", False),
        (RuntimeError("two\nlines"), "RuntimeError: two lines", False),
        (SystemExit(3), "SystemExit: 3", False),
    ],
)
def test_a_system_that_fails_is_a_finding(
    error: BaseException, detail: str, unreachable: bool, systems: dict[str, Any]
) -> None:
    systems["acme"] = error
    (found,) = diagnose("acme").failures
    assert (found.detail, found.unreachable, found.verdict) == (detail, unreachable, Verdict.BROKEN)
    (unused,) = of(diagnose().findings, "scheduler acme")
    assert unused.verdict is (Verdict.MISSING if unreachable else Verdict.BROKEN)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Something to hang on until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_systems_that_hang_are_named_and_hold_nobody_up(systems: dict[str, Any], gate: threading.Event) -> None:
    systems["one"] = systems["two"] = gate.wait
    systems["fine"] = [Probe("tool", True, "fine")]
    started = time.monotonic()
    found = diagnose("one", patience=0.2)
    assert time.monotonic() - started < 5  # they are waited for side by side
    assert [(f.section, f.unreachable) for f in found.failures] == [("scheduler one", True)]
    assert "0.2 s" in found.failures[0].detail
    assert "xrun doctor -s one --timeout" in found.failures[0].fix
    assert of(found.findings, "scheduler two")[0].verdict is Verdict.MISSING
    assert of(found.findings, "scheduler fine")[0].verdict is Verdict.OK


def test_bounded_gives_what_each_gave(gate: threading.Event) -> None:
    def fails() -> int:
        raise KeyError("x")

    found = bounded({"a": lambda: 1, "b": fails, "c": gate.wait}, 0.2)
    assert found["a"] == 1
    assert isinstance(found["b"], KeyError)
    assert isinstance(found["c"], WaitTimeout)


def test_an_unknown_scheduler() -> None:
    with pytest.raises(UnknownName, match="did you mean local"):
        diagnose("locl")


def test_what_is_used_comes_from_environment_files_and_history(
    write: Write, systems: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    systems.update(acme=[], past=[])
    write("[schedulers.memory]\nmax_runtime = 3\n[profiles.p.schedulers.local_cwd]\n")
    monkeypatch.setenv("XRUN_SCHEDULER", "acme")

    class History:
        def __init__(self, tell: Any) -> None:
            pass

        def recent(self, wanted: Any) -> list[Any]:
            assert time.time() - wanted.since < 100 * 86400
            return [
                SimpleNamespace(handle="past://default/a-aaaaa"),
                SimpleNamespace(handle="memory://default/b-aaaaa"),
            ]

        def close(self) -> None:
            pass

    fake: Any = ModuleType("xrun.runner.history")
    fake.History, fake.Query = History, lambda since: SimpleNamespace(since=since)
    monkeypatch.setitem(sys.modules, "xrun.runner.history", fake)

    found = diagnose()
    assert found.used == ["acme", "local", "memory", "past"]
    assert found.failures == []
    assert diagnose("memory").used == ["memory"]


def test_a_default_that_is_no_scheduler_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRUN_SCHEDULER", "slrm")
    (found,) = diagnose().failures
    assert found.section == "scheduler slrm"
    assert "unknown scheduler" in found.detail


def test_files_that_are_wrong(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("[schedulers.local]\ngrace_perid = 3\ngpus = 'x'\n")
    found = diagnose().failures
    assert [f.section for f in found] == ["configuration", "configuration"]
    assert "xrun.toml:2" in found[0].detail
    assert "grace_period" in found[0].detail

    write("[run\n")
    (unreadable,) = diagnose().failures
    assert unreadable.section == "configuration"

    write("")
    monkeypatch.setenv("XRUN_PROFILE", "nowhere")
    (profile,) = diagnose().failures
    assert "nowhere" in profile.detail


def test_a_file_that_is_right_is_named(write: Write) -> None:
    path = write("[schedulers.local]\ngpus = 0\n")
    (found,) = of(diagnose().findings, "configuration")
    assert (found.subject, found.verdict) == (str(path), Verdict.OK)


def test_a_home_that_is_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XRUN_HOME", str(tmp_path / "file"))
    found = diagnose().failures
    assert ("home", "folder") in [(f.section, f.subject) for f in found]
    assert "XRUN_HOME" in found[0].fix


def test_without_git(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = of(diagnose("memory").findings, "programs")
    assert (found.verdict, found.used) == (Verdict.MISSING, False)
    assert found.fix


def test_a_machine_without_a_shell(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = diagnose("local").failures
    assert [f.subject for f in found] == ["shell"]


def test_an_nvidia_smi_that_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = diagnose("local").failures
    assert [f.subject for f in found] == ["gpus"]


def test_extras_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from xrun.runner import requirements

    monkeypatch.setattr(requirements, "_installed", lambda name: "" if name == "torch" else "9999")
    found = {f.subject: f for f in of(diagnose("memory").findings, "extras")}
    assert found["torch"].verdict is Verdict.MISSING
    assert found["torch"].fix == "pip install 'torch>=2.4'"
    assert found["testing"].verdict is Verdict.OK
    assert diagnose("memory").failures == []


def test_a_dependency_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    from xrun.runner import requirements

    monkeypatch.setattr(requirements, "_installed", lambda name: "1" if name == "click" else "9999")
    (found,) = diagnose("memory").failures
    assert (found.section, found.subject) == ("xrun", "dependencies")
    assert found.fix == "pip install 'click>=8.1.8'"


def test_groups_are_those_of_plugins() -> None:
    groups = {value for value in vars(plugins).values() if isinstance(value, str) and value.startswith("xrun.")}
    assert set(diagnosis.GROUPS) == groups - {plugins.__name__}
