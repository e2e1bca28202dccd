"""What a failure restarts, and how often."""

from __future__ import annotations

import pytest

from xrun.runner import Runner
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState
from xrun.testing.contract.base import SHOW_ATTEMPT, UNTIL_STOPPED, ContractBase

_POLICIES = list(RetryPolicy)
_FIRST, _BOTH = ["attempt 0\n"], ["attempt 0\n", "attempt 1\n"]

# replica 1 fails once, when all have begun; the others go on in that attempt until they are stopped, or just end
_ONCE = SHOW_ATTEMPT + 'if [ "$XRUN_REPLICA_ID$XRUN_ATTEMPT" = 10 ]; then sleep "$1"; exit 3; fi; '
_STOPPED_ONCE = _ONCE + f'if [ "$XRUN_ATTEMPT" = 0 ]; then {UNTIL_STOPPED.replace("echo ready; ", "")}; fi'


class RetryCases(ContractBase):
    """``max_retries=N`` is N + 1 attempts at most, and every replica knows which one it is."""

    def test_no_retry_unless_asked_for(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role(SHOW_ATTEMPT + "exit 3")))
        assert job.ends(AppState.FAILED).num_restarts == 0
        assert job.lines() == _FIRST

    @pytest.mark.parametrize("policy", _POLICIES)
    def test_success_after_a_retry_is_success(self, runner: Runner, policy: RetryPolicy) -> None:
        script = SHOW_ATTEMPT + '[ "$XRUN_ATTEMPT" = 1 ]'
        job = self.run_or_be_refused(runner, self.app(self.role(script, max_retries=2, retry_policy=policy)))
        if job is not None:
            assert job.ends(AppState.SUCCEEDED).num_restarts == 1
            assert job.lines() == _BOTH
            assert (job.replica().attempt, job.replica().exit_code) == (1, 0)

    @pytest.mark.parametrize("policy", _POLICIES)
    def test_no_more_than_max_retries(self, runner: Runner, policy: RetryPolicy) -> None:
        """No more than `max_retries` are made."""
        role = self.role(SHOW_ATTEMPT + "exit 3", max_retries=2, retry_policy=policy)
        job = self.run_or_be_refused(runner, self.app(role))
        if job is not None:
            status = job.ends(AppState.FAILED)
            assert status.num_restarts == 2
            assert "exit 3" in status.msg
            assert job.lines() == ["attempt 0\n", "attempt 1\n", "attempt 2\n"]

    def test_replica_restarts_the_replica(self, runner: Runner) -> None:
        """REPLICA restarts the replica."""
        role = self.role(_ONCE, str(self.skew), num_replicas=3, max_retries=1, retry_policy=RetryPolicy.REPLICA)
        job = self.run_or_be_refused(runner, self.app(role))
        if job is not None:
            assert job.ends(AppState.SUCCEEDED).num_restarts == 1
            assert [job.lines(k=k) for k in range(3)] == [_FIRST, _BOTH, _FIRST]

    def test_replica_counts_for_each_replica(self, runner: Runner) -> None:
        """REPLICA counts for each replica."""
        script = SHOW_ATTEMPT + '[ "$XRUN_ATTEMPT" = 1 ]'
        role = self.role(script, num_replicas=3, max_retries=1, retry_policy=RetryPolicy.REPLICA)
        job = self.run_or_be_refused(runner, self.app(role))
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert [job.lines(k=k) for k in range(3)] == [_BOTH] * 3

    def test_role_restarts_the_role(self, runner: Runner) -> None:
        """ROLE restarts the role."""
        role = self.role(_STOPPED_ONCE, str(self.skew), num_replicas=2, max_retries=1, retry_policy=RetryPolicy.ROLE)
        job = self.run_or_be_refused(runner, self.app(role))
        if job is not None:
            assert job.ends(AppState.SUCCEEDED).num_restarts == 1
            assert [job.lines(k=k) for k in range(2)] == [_BOTH] * 2

    def test_role_leaves_other_roles_alone(self, runner: Runner) -> None:
        """ROLE leaves other roles alone."""
        role = self.role(_ONCE, str(self.skew), num_replicas=2, max_retries=1, retry_policy=RetryPolicy.ROLE)
        other = self.role(SHOW_ATTEMPT + f"sleep {3 * self.skew}", name="other")
        job = self.run_or_be_refused(runner, self.app(role, other))
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert job.lines("main", 1) == _BOTH
            assert job.lines("other") == _FIRST

    def test_application_restarts_everything(self, runner: Runner) -> None:
        """APPLICATION restarts everything."""
        role = self.role(
            _STOPPED_ONCE, str(self.skew), num_replicas=2, max_retries=1, retry_policy=RetryPolicy.APPLICATION
        )
        other = self.role(_STOPPED_ONCE, str(self.skew), name="other")
        several = self.capabilities().multi_role
        job = self.run_or_be_refused(runner, self.app(*([role, other] if several else [role])))
        if job is not None:
            assert job.ends(AppState.SUCCEEDED).num_restarts == 1
            assert [job.lines(k=k) for k in range(2)] == [_BOTH] * 2
            assert not several or job.lines("other") == _BOTH
