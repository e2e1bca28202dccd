"""SIGTERM, a grace period, SIGKILL: by cancel, time limit and delete."""

from __future__ import annotations

import time

import pytest

from xrun.errors import JobCancelled, JobNotFound
from xrun.runner import Runner
from xrun.specs.identity import new_request_id
from xrun.specs.states import AppState
from xrun.testing.contract.base import IGNORES_TERM, UNTIL_STOPPED, ContractBase

_SAYS_BYE = "trap 'sleep 0.5; echo bye; exit 0' TERM; echo ready; sleep 60 & wait; exit 9"
_SLOW_TO_STOP = "trap 'sleep 1; exit 0' TERM; echo ready; sleep 60 & wait; exit 9"
_CHILD_SAYS_BYE = f"""{{ {_SAYS_BYE.replace("sleep 0.5; ", "").replace("echo ready; ", "")}; }} &
trap 'wait; wait; exit 0' TERM; sleep 0.2; echo ready; wait; wait; exit 9"""
_CHILD_BEATS = """
{ trap '' TERM; i=0; while [ $i -lt 600 ]; do echo beat; sleep 0.05; i=$((i+1)); done; } &
trap 'exit 0' TERM; echo ready; wait; exit 9"""


class StopCases(ContractBase):
    """A stop reaches every process, gives it its time, and leaves nothing."""

    # --- cancel ----------------------------------------------------------------------------------------------------

    def test_cancel(self, runner: Runner) -> None:
        """Cancel stops every replica."""
        job = self.run(runner, self.app(self.role(UNTIL_STOPPED, num_replicas=2)))
        job.reaches("ready")
        runner.cancel(job.handle)
        status = job.ends(AppState.CANCELLED)
        assert {k.state for r in status.roles for k in r.replicas} == {AppState.CANCELLED}
        with pytest.raises(JobCancelled) as raised:
            status.raise_for_status()
        assert raised.value.exit_code == 7

    def test_cancel_right_after_the_submission(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(UNTIL_STOPPED, num_replicas=2)))
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)

    def test_cancel_gives_the_grace_period(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_SAYS_BYE)), grace_period=20)
        job.reaches("ready")
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)
        assert job.lines() == ["ready\n", "bye\n"]

    def test_cancel_is_idempotent_and_keeps_the_logs(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(UNTIL_STOPPED)))
        job.reaches("ready")
        for _ in range(2):
            runner.cancel(job.handle)
        before = job.ends(AppState.CANCELLED)
        runner.stop(job.handle)
        assert job.ends(AppState.CANCELLED) == before
        assert job.lines() == ["ready\n"]

    def test_cancel_after_the_end_changes_nothing(self, runner: Runner) -> None:
        for script, state in (("exit 0", AppState.SUCCEEDED), ("exit 3", AppState.FAILED)):
            job = self.run(runner, self.app(self.role(script)))
            before = job.ends(state)
            runner.cancel(job.handle)
            assert job.status() == before

    def test_replicas_are_stopped_side_by_side(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_SLOW_TO_STOP, num_replicas=6)), grace_period=20)
        for k in range(6):
            job.reaches("ready", k=k)
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)
        assert [job.replica(k=k).exit_code for k in range(6)] == [0] * 6
        times = [job.replica(k=k).ended for k in range(6)]
        assert max(times) - min(times) < 3  # one after the other takes five seconds, and some tell whole seconds only

    # --- the grace period and what comes after ---------------------------------------------------------------------

    def test_who_ignores_sigterm_is_killed_after_the_grace_period(self, runner: Runner) -> None:
        """Who ignores SIGTERM is killed after the grace period."""
        job = self.run(runner, self.app(self.role(IGNORES_TERM)), grace_period=1)
        job.reaches("ready")
        began = time.monotonic()
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)
        assert time.monotonic() - began >= 0.9
        assert job.replica().signal == "SIGKILL"

    def test_a_grandchild_gets_sigterm(self, runner: Runner) -> None:
        """A grandchild gets SIGTERM."""
        job = self.run(runner, self.app(self.role(_CHILD_SAYS_BYE)), grace_period=20)
        job.reaches("ready")
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)
        assert "bye\n" in job.lines()

    def test_a_grandchild_does_not_outlive_the_job(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_CHILD_BEATS)), grace_period=1)
        job.reaches("beat")
        runner.cancel(job.handle)
        job.ends(AppState.CANCELLED)
        written = job.lines()
        time.sleep(0.3)  # that nothing comes can't be waited for
        assert job.lines() == written

    def test_what_a_replica_leaves_behind_ends_with_it(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(_CHILD_BEATS.partition("trap 'exit 0'")[0] + "echo ready; exit 0")))
        job.ends(AppState.SUCCEEDED)
        written = job.lines()
        time.sleep(0.3)  # that nothing comes can't be waited for
        assert job.lines() == written

    def test_the_rest_of_a_gang_gets_its_grace_period(self, runner: Runner) -> None:
        script = f'if [ "$XRUN_REPLICA_ID" = 0 ]; then sleep {self.skew}; exit 3; fi; {_SAYS_BYE}'
        job = self.run(runner, self.app(self.role(script, num_replicas=2)), grace_period=20)
        job.ends(AppState.FAILED)
        assert job.lines(k=1) == ["ready\n", "bye\n"]

    # --- max_runtime -----------------------------------------------------------------------------------------------

    def test_max_runtime_fails_the_job_and_says_so(self, runner: Runner) -> None:
        """`max_runtime` fails the job and says so."""
        job = self.run(runner, self.app(self.role(_SAYS_BYE)), max_runtime=2 * self.skew, grace_period=20)
        assert "max_runtime" in job.ends(AppState.FAILED).msg
        assert job.lines() == ["ready\n", "bye\n"]

    def test_max_runtime_ends_who_ignores_sigterm(self, runner: Runner) -> None:
        """`max_runtime` ends who ignores SIGTERM."""
        job = self.run(runner, self.app(self.role(IGNORES_TERM)), max_runtime=self.skew, grace_period=0.5)
        job.ends(AppState.FAILED)
        assert job.replica().signal == "SIGKILL"

    def test_a_job_that_ends_in_time_is_left_alone(self, runner: Runner) -> None:
        self.run(runner, self.app(self.role("exit 0")), max_runtime=50).ends(AppState.SUCCEEDED)

    # --- delete ----------------------------------------------------------------------------------------------------

    def test_delete_leaves_nothing(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role("echo ran")))
        job.ends(AppState.SUCCEEDED)
        runner.delete(job.handle)
        assert runner.status(job.handle) is None
        assert job.app_id not in self.listed(runner)
        with pytest.raises(JobNotFound):
            job.lines()
        with pytest.raises(JobNotFound):
            runner.delete(job.handle)

    def test_delete_stops_a_running_job(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(IGNORES_TERM)), grace_period=0.5)
        job.reaches("ready")
        runner.delete(job.handle)
        assert runner.status(job.handle) is None
        assert job.app_id not in self.listed(runner)

    def test_delete_frees_the_request(self, runner: Runner) -> None:
        request = new_request_id()
        first = self.run(runner, self.app(self.role("echo first")), request)
        first.ends(AppState.SUCCEEDED)
        runner.delete(first.handle)
        second = self.run(runner, self.app(self.role("echo second")), request)
        second.ends(AppState.SUCCEEDED)
        assert second.lines() == ["second\n"]
