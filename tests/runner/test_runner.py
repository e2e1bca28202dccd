"""The API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from xrun.errors import (
    InvalidConfig,
    InvalidJob,
    InvalidValue,
    JobFailed,
    JobNotFound,
    MalformedHandle,
    UnknownName,
    WaitTimeout,
)
from xrun.runner import Runner, get_runner
from xrun.schedulers.api import ListFilter, Stream
from xrun.specs import AppDef, AppState, Role


@pytest.fixture
def runner(xrun_home: Path) -> Iterator[Runner]:
    """A runner with a fresh home."""
    with get_runner() as runner:
        yield runner


def _sh(text: str) -> AppDef:
    return AppDef("job", [Role("main", entrypoint="sh", args=["-c", text])])


def test_a_component_from_words_or_values(runner: Runner) -> None:
    for args in (
        ["--msg", "hi", "--num_replicas", "2"],
        {"msg": "hi", "num_replicas": 2},
        {"msg": "hi", "num_replicas": "2"},
    ):
        handle = runner.run_component("utils.echo", args, "local")
        end = runner.wait(handle, timeout=30)
        assert end is not None
        end.raise_for_status()
        assert [list(runner.log_lines(handle, "echo", k)) for k in (0, 1)] == [["hi\n"], ["hi\n"]]


def test_defaults_of_components_lose_to_arguments(xrun_home: Path) -> None:
    with get_runner(component_defaults={"utils.echo": {"msg": "default", "num_replicas": 2}}) as runner:
        built = runner.build_component("utils.echo", ["--msg", "mine"])
    assert (built.roles[0].args, built.roles[0].num_replicas) == (["mine"], 2)


def test_an_unknown_job_is_none_or_not_found(runner: Runner) -> None:
    handle = "local://default/none-aaaaa"
    assert runner.status(handle) is None
    assert runner.describe(handle) is None
    assert runner.wait(handle) is None
    for call in (runner.cancel, runner.stop, runner.delete):
        with pytest.raises(JobNotFound):
            call(handle)
    with pytest.raises(JobNotFound):
        runner.log_lines(handle, "main")
    with pytest.raises(MalformedHandle):
        runner.status("none")


def test_wait_times_out_as_a_timeout_error_and_the_job_goes_on(runner: Runner) -> None:
    handle = runner.run(_sh("sleep 300"))
    with pytest.raises(WaitTimeout) as caught:
        runner.wait(handle, timeout=0.1)
    assert isinstance(caught.value, TimeoutError)
    status = runner.status(handle)
    assert status is not None
    assert status.state in (AppState.PENDING, AppState.RUNNING)
    runner.cancel(handle)
    status = runner.status(handle)
    assert status is not None
    assert status.state is AppState.CANCELLED


def test_a_failure_raises_for_status(runner: Runner) -> None:
    status = runner.wait(runner.run(_sh("echo broken >&2; exit 4")))
    assert status is not None
    with pytest.raises(JobFailed, match="exit 4: broken"):
        status.raise_for_status()


def test_the_callers_job_is_not_touched_and_may_change_afterwards(runner: Runner) -> None:
    app = _sh("echo before")
    info = runner.dryrun(app)
    app.roles[0].args[1] = "echo after"
    handle = runner.schedule(info)
    runner.wait(handle)
    assert list(runner.log_lines(handle, "main")) == ["before\n"]
    described = runner.describe(handle)
    assert described is not None
    assert described.roles[0].args == ["-c", "echo before"]


def test_a_wrong_job_is_refused_before_anything_happens(runner: Runner, xrun_home: Path) -> None:
    with pytest.raises(InvalidJob) as caught:
        runner.run(AppDef("", [Role("main", num_replicas=-1)]))
    assert [p.code for p in caught.value.problems] == ["XR001", "XR006", "XR007"]
    assert not xrun_home.exists()


def test_many_threads_share_a_runner(runner: Runner) -> None:
    handles: list[str] = []
    threads = [threading.Thread(target=lambda: handles.append(runner.run(_sh("exit 0")))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(handles)) == 20
    assert {status.state for status in map(runner.wait, handles) if status} == {AppState.SUCCEEDED}


def test_another_runner_knows_the_job(runner: Runner) -> None:
    handle = runner.run(_sh("echo hi; sleep 0.2"))
    runner.close()
    with get_runner("other") as later:
        assert [row.name for row in later.list("local", ListFilter(name="job"))] == ["job"]
        assert "".join(later.log_lines(handle, "main", should_tail=True, streams=Stream.STDOUT)) == "hi\n"
        status = later.wait(handle)
    assert status is not None
    assert status.state is AppState.SUCCEEDED


def test_options_are_read_and_checked(runner: Runner) -> None:
    assert runner.dryrun(_sh("exit 0"), "local", {"grace_period": "5"}).options.grace_period == 5.0
    with pytest.raises(UnknownName, match="grace_period"):
        runner.dryrun(_sh("exit 0"), "local", {"grace_perid": 5})
    with pytest.raises(InvalidValue):
        runner.dryrun(_sh("exit 0"), "local", {"grace_period": "soon"})


def test_torchx_scheduler_names(runner: Runner) -> None:
    handle = runner.run(_sh("exit 0"), "local_cwd")
    assert handle.startswith("local://default/")


def test_named_resources_of_the_configuration(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xrun.toml").write_text('[named_resources."my.box"]\ncpu = 3\ngpu = 1\nmemMB = 2048\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    app = runner.build_component("utils.sh", {"args": ["true"], "h": "my.box"})
    assert (app.roles[0].resource.cpu, app.roles[0].resource.gpu, app.roles[0].resource.memMB) == (3, 1, 2048)
    (below / "xrun.toml").write_text('[named_resources."my.box"]\ncpus = 3\n')
    with pytest.raises(InvalidConfig, match=r"xrun\.toml:2: named_resources\.my\.box has no field 'cpus'"):
        runner.build_component("utils.sh", {"args": ["true"], "h": "my.box"})
