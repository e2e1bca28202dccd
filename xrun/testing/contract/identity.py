"""Names, handles, exactly-once submission, lists, and who finds a job again."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from xrun.errors import JobNotFound, RequestConflict, WaitTimeout
from xrun.runner import Runner
from xrun.schedulers.logs import LogQuery
from xrun.specs.handle import make_app_handle
from xrun.specs.identity import new_request_id
from xrun.specs.serialize import to_dict
from xrun.specs.states import AppState
from xrun.testing.contract.base import SHOW_ATTEMPT, UNTIL_STOPPED, ContractBase, this_environment

_ODD_NAMES = ("My Job!", "9lives", "-dash-", "a_b.c/d", "ünï cödé", "日本", "UPPER", "x" * 90, " ", "a\nb", "'\"$(x)")
_LEGAL = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")

_ELSEWHERE = """
import sys
from xrun.errors import JobNotFound
from xrun.runner import get_runner
with get_runner() as runner:
    status = runner.status(sys.argv[1])
    print(status.state.name if status else None)
    try:
        print(list(runner.log_lines(sys.argv[1], "main")))
        runner.cancel(sys.argv[2])
        print(runner.wait(sys.argv[2]).state.name)
    except JobNotFound as error:
        print(error)
"""


class IdentityCases(ContractBase):
    """One name for one job, known before it is submitted, and one job for one request."""

    # --- names -----------------------------------------------------------------------------------------------------

    def test_any_name_gives_a_legal_app_id(self, runner: Runner) -> None:
        names = [n for n in _ODD_NAMES if n.strip()]
        infos = [runner.dryrun(self.app(self.role("true"), name=n), self.scheduler, self.options()) for n in names]
        for info in infos:
            assert _LEGAL.fullmatch(info.app_id.rpartition(":")[2]), info.app_id
        assert len({info.app_id for info in infos}) == len(names)

    def test_a_job_with_an_odd_name_runs(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role("echo ran"), name="Ünï cödé/'$(x)' " + "long " * 20))
        job.ends(AppState.SUCCEEDED)
        assert job.lines() == ["ran\n"]

    def test_a_plain_name_begins_the_app_id(self, runner: Runner) -> None:
        info = runner.dryrun(self.app(self.role("true"), name="train"), self.scheduler, self.options())
        assert re.fullmatch(r"train-[a-z0-9]{5}", info.app_id.rpartition(":")[2])

    # --- dry runs --------------------------------------------------------------------------------------------------

    def test_a_render_is_deterministic(self, runner: Runner) -> None:
        app = self.app(self.role("echo $1", "x", env={"B": "2", "A": "1"}, num_replicas=2))
        first, second = (runner.dryrun(app, self.scheduler, self.options(), reproducible=True) for _ in range(2))
        assert (first.app_id, str(first)) == (second.app_id, str(second))
        other = runner.dryrun(self.app(self.role("echo $2", "x")), self.scheduler, self.options(), reproducible=True)
        assert other.app_id != first.app_id

    def test_a_dry_run_has_no_side_effect(self, runner: Runner) -> None:
        before = self.listed(runner)
        info = runner.dryrun(self.app(self.role("true")), self.scheduler, self.options())
        handle = make_app_handle(self.scheduler, "default", info.app_id)
        assert str(info)
        assert runner.status(handle) is None
        assert self.listed(runner) == before

    def test_the_callers_appdef_is_not_changed(self, runner: Runner) -> None:
        """The caller's AppDef is not changed."""
        app = self.app(self.role("true", "${app_id}", env={"A": "${replica_id}"}))
        before = to_dict(app)
        self.run(runner, app).ends(AppState.SUCCEEDED)
        assert to_dict(app) == before

    def test_changes_after_the_dry_run_have_no_effect(self, runner: Runner) -> None:
        app = self.app(self.role('echo "$1 $A"', "old", env={"A": "old"}))
        info = runner.dryrun(app, self.scheduler, self.options())
        app.roles[0].args[-1] = app.roles[0].env["A"] = "new"
        app.roles.append(self.role("exit 1", name="late"))
        handle = runner.schedule(info)
        self._mine.append(handle)
        status = runner.wait(handle, timeout=self.timeout)
        assert status is not None
        assert status.state == AppState.SUCCEEDED
        assert list(runner.log_lines(handle, "main")) == ["old old\n"]

    # --- exactly once ----------------------------------------------------------------------------------------------

    def test_the_same_request_gives_the_same_job(self, runner: Runner) -> None:
        request = new_request_id()
        app = self.app(self.role("echo ran"))
        first = self.run(runner, app, request)
        again = self.run(runner, app, request)
        first.ends(AppState.SUCCEEDED)
        after_its_end = self.run(runner, app, request)
        after_its_end.ends(AppState.SUCCEEDED)
        assert first.handle == again.handle == after_its_end.handle
        assert first.lines() == ["ran\n"]

    def test_the_same_request_at_the_same_time_gives_one_job(self, runner: Runner) -> None:
        request = new_request_id()
        app = self.app(self.role("echo ran"))
        runner.dryrun(app, self.scheduler, self.options())
        with ThreadPoolExecutor(4) as pool:
            jobs = list(pool.map(lambda _: self.run(runner, app, request), range(4)))
        assert len({job.handle for job in jobs}) == 1
        jobs[0].ends(AppState.SUCCEEDED)
        assert jobs[0].lines() == ["ran\n"]

    def test_the_same_request_for_another_job_is_refused(self, runner: Runner) -> None:
        request = new_request_id()
        job = self.run(runner, self.app(self.role("echo ran", "old", env={"A": "old"})), request)
        with pytest.raises(RequestConflict) as conflict:
            self.run(runner, self.app(self.role("echo ran", "new", env={"A": "new"})), request)
        assert conflict.value.exit_code == 3
        assert conflict.value.handle == job.handle
        assert len(conflict.value.fields) == 2
        assert {"args" in field for field in conflict.value.fields} == {True, False}
        job.ends(AppState.SUCCEEDED)
        assert job.lines() == ["ran\n"]

    def test_the_same_request_with_other_options_is_refused(self, runner: Runner) -> None:
        request = new_request_id()
        app = self.app(self.role("true"))
        self.run(runner, app, request, grace_period=3)
        with pytest.raises(RequestConflict):
            self.run(runner, app, request, grace_period=4)

    def test_two_requests_are_two_jobs(self, runner: Runner) -> None:
        app = self.app(self.role("true"))
        assert self.run(runner, app).handle != self.run(runner, app).handle

    # --- found again -----------------------------------------------------------------------------------------------

    def test_describe_gives_the_job_as_submitted(self, runner: Runner) -> None:
        app = self.app(self.role("true", "$${x} ${replica_id}", env={"A": "1"}, num_replicas=2))
        job = self.run(runner, app)
        there = runner.describe(job.handle)
        assert there is not None
        assert to_dict(there) == to_dict(app)

    def test_list_shows_a_job_with_its_state(self, runner: Runner) -> None:
        began = time.time()
        job = self.run(runner, self.app(self.role("true"), name="listed"))
        job.ends(AppState.SUCCEEDED)
        rows = {row.app_id: row for row in runner.list(self.scheduler)}
        assert rows[job.app_id].state == AppState.SUCCEEDED
        assert rows[job.app_id].name in ("listed", job.app_id)
        assert rows[job.app_id].submitted >= began - 60  # the system's clock may differ

    def test_list_filters(self, runner: Runner) -> None:
        """A list can be filtered by user, name, state and time."""
        job = self.run(runner, self.app(self.role("true"), name="filtered"))
        job.ends(AppState.SUCCEEDED)
        user = next(row.user for row in runner.list(self.scheduler) if row.app_id == job.app_id)
        assert job.app_id in self.listed(runner, user=user, name="filtered", states=frozenset({AppState.SUCCEEDED}))
        assert job.app_id not in self.listed(runner, states=frozenset({AppState.RUNNING}))
        assert job.app_id not in self.listed(runner, name="another")
        assert job.app_id not in self.listed(runner, user=user + "-another")
        assert job.app_id not in self.listed(runner, since=time.time() + 3600)

    def test_what_is_unknown(self, runner: Runner) -> None:
        """What is unknown is said to be, by every verb."""
        handle = make_app_handle(self.scheduler, "default", "never-was-00000")
        assert runner.status(handle) is None
        assert runner.describe(handle) is None
        assert runner.wait(handle, timeout=self.timeout) is None
        for act in (
            lambda: runner.cancel(handle),
            lambda: runner.delete(handle),
            lambda: list(runner.log_lines(handle, "main")),
            lambda: list(runner.logs(handle, LogQuery(follow=True))),
        ):
            with pytest.raises(JobNotFound) as missing:
                act()
            assert missing.value.exit_code == 5

    def test_a_wait_that_runs_out_leaves_the_job_alone(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(UNTIL_STOPPED)))
        job.reaches("ready")
        with pytest.raises(WaitTimeout) as out:
            runner.wait(job.handle, timeout=0.3)
        assert isinstance(out.value, TimeoutError)
        assert out.value.exit_code == 6
        assert job.status().state == AppState.RUNNING

    def test_a_running_job_is_running(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(SHOW_ATTEMPT + UNTIL_STOPPED, num_replicas=2)))
        for k in range(2):
            job.reaches("ready", k=k)
        assert job.status().state == AppState.RUNNING
        assert [job.replica(k=k).state for k in range(2)] == [AppState.RUNNING] * 2
        assert job.status().ended == 0

    def test_another_process_finds_a_durable_job(self, runner: Runner) -> None:
        """Another process finds the job."""
        ended = self.run(runner, self.app(self.role("echo ran")))
        running = self.run(runner, self.app(self.role(UNTIL_STOPPED)))
        ended.ends(AppState.SUCCEEDED)
        running.reaches("ready")
        command = [sys.executable, "-c", _ELSEWHERE, ended.handle, running.handle]
        done = subprocess.run(command, capture_output=True, text=True, env=this_environment(), check=False)
        assert (done.returncode, done.stderr) == (0, "")
        if self.capabilities().durable:
            assert done.stdout.splitlines() == ["SUCCEEDED", "['ran\\n']", "CANCELLED"]
            running.ends(AppState.CANCELLED)
        else:
            self.not_declared()
            assert done.stdout.splitlines()[0] == "None"
            assert "no such job" in done.stdout
            assert running.status().state == AppState.RUNNING

    def test_another_runner_finds_a_durable_job(self, runner: Runner) -> None:
        """Another Runner finds the job."""
        job = self.run(runner, self.app(self.role("echo ran")))
        job.ends(AppState.SUCCEEDED)
        if not self.capabilities().durable:
            self.not_declared()
        with self.another_runner() as another:
            status = another.status(job.handle)
            assert (status is not None) == self.capabilities().durable
            assert status is None or status.state == AppState.SUCCEEDED
