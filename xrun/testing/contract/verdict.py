"""How a job ends, and what its status says about it."""

from __future__ import annotations

import pytest

from xrun.errors import JobFailed
from xrun.runner import Runner
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.role import RetryPolicy
from xrun.specs.states import AppState
from xrun.specs.status import NONE
from xrun.testing.contract.base import SHOW_ATTEMPT, UNTIL_STOPPED, ContractBase

_FAIL_SECOND = f'if [ "$XRUN_REPLICA_ID" = 1 ]; then echo boom >&2; exit 3; fi; {UNTIL_STOPPED}'
_FAIL_FIRST = 'if [ "$XRUN_REPLICA_ID" = 0 ]; then exit 3; fi; '


class VerdictCases(ContractBase):
    """SUCCEEDED when every replica of every primary role exits 0; a failure stops the rest and is explained."""

    def one_of_three_fails(self) -> AppDef:
        """Three replicas, the second of which fails."""
        return self.app(self.role(_FAIL_SECOND, num_replicas=3))

    def test_all_exit_0(self, runner: Runner) -> None:
        """A job whose replicas all exit 0 has succeeded."""
        job = self.run(runner, self.app(self.role("exit 0", num_replicas=3)))
        status = job.ends(AppState.SUCCEEDED)
        assert [k.state for r in status.roles for k in r.replicas] == [AppState.SUCCEEDED] * 3
        assert [k.exit_code for r in status.roles for k in r.replicas] == [0] * 3
        assert status.num_restarts == 0
        assert status.structured_error_msg == NONE
        assert 0 < status.submitted <= status.ended
        status.raise_for_status()

    def test_a_failure_stops_the_rest(self, runner: Runner) -> None:
        job = self.run_once(runner, self.one_of_three_fails)
        assert job is not None
        job.ends(AppState.FAILED)
        assert job.replica(k=1).state == AppState.FAILED
        assert [job.replica(k=k).state for k in (0, 2)] == [AppState.CANCELLED] * 2

    def test_the_status_names_replica_exit_code_and_last_error(self, runner: Runner) -> None:
        """The status names replica, exit code and last error."""
        job = self.run_once(runner, self.one_of_three_fails)
        assert job is not None
        status = job.ends(AppState.FAILED)
        assert "main/1" in status.msg
        assert "exit 3" in status.msg
        assert "boom" in status.msg
        failed = job.replica(k=1)
        assert (failed.exit_code, failed.signal) == (3, "")
        assert "boom" in failed.error
        with pytest.raises(JobFailed) as raised:
            status.raise_for_status()
        assert raised.value.exit_code == 1

    def test_the_failed_replicas_log_is_readable(self, runner: Runner) -> None:
        """The failed replica's log is readable."""
        job = self.run_once(runner, self.one_of_three_fails)
        assert job is not None
        job.ends(AppState.FAILED)
        assert job.lines(k=1) == ["boom\n"]

    def test_a_death_by_signal_is_named(self, runner: Runner) -> None:
        # process 1 of a container can't kill itself; 137 is what everybody calls this death
        job = self.run(runner, self.app(self.role("kill -KILL $$; exit 137")))
        status = job.ends(AppState.FAILED)
        assert job.replica().signal == "SIGKILL"
        assert "SIGKILL" in status.msg

    def test_the_error_file_is_in_the_status(self, runner: Runner) -> None:
        script = """printf '{"message": {"message": "the GPU fell off", "extraInfo": {}}}' >"$XRUN_ERROR_FILE"
            echo noise >&2; exit 1"""
        job = self.run(runner, self.app(self.role(script)))
        status = job.ends(AppState.FAILED)
        assert job.replica().error == "the GPU fell off"
        assert "the GPU fell off" in status.msg
        assert "extraInfo" in status.structured_error_msg
        assert status.structured_error_msg == job.replica().structured_error_msg

    def test_a_program_that_is_not_there(self, runner: Runner) -> None:
        """A program that is not there fails the job, exit code 127."""
        job = self.run(runner, self.app(self.program(f"no-such-program-{macros.app_id}")))
        status = job.ends(AppState.FAILED)
        assert f"no-such-program-{job.app_id}" in status.msg
        assert job.replica().exit_code == 127

    def test_many_replicas_and_retries_of_a_program_that_is_not_there(self, runner: Runner) -> None:
        """So do many replicas and retries of one."""
        policies = sorted(self.capabilities().retry_policies)
        if not policies:
            self.not_declared()  # that such a job is refused is a case of RetryCases
        for policy in policies:
            role = self.program("no-such-program", num_replicas=3, max_retries=self.many_retries, retry_policy=policy)
            job = self.run(runner, self.app(role))
            assert "no-such-program" in job.ends(AppState.FAILED).msg

    def test_a_program_that_can_not_be_executed(self, runner: Runner) -> None:
        """A program that can not be executed fails the job, exit code 126."""
        job = self.run(runner, self.app(self.program("/etc/passwd")))
        assert "/etc/passwd" in job.ends(AppState.FAILED).msg
        assert job.replica().exit_code == 126

    # --- roles that are not primary --------------------------------------------------------------------------------

    def test_a_server_is_stopped_when_the_primary_roles_end(self, runner: Runner) -> None:
        app = self.app(self.role(f"sleep {self.skew}"), self.role(UNTIL_STOPPED, name="server", primary=False))
        job = self.run_or_be_refused(runner, app)
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert job.replica("main").state == AppState.SUCCEEDED
            assert job.replica("server").state == AppState.CANCELLED

    def test_a_servers_failure_has_no_say(self, runner: Runner) -> None:
        """A server's failure has no say."""
        app = self.app(self.role(f"sleep {2 * self.skew}"), self.role("exit 3", name="server", primary=False))
        job = self.run_or_be_refused(runner, app)
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert job.replica("server").state == AppState.FAILED
            assert job.replica("server").exit_code == 3

    def test_a_server_is_retried_to_its_own_limit(self, runner: Runner) -> None:
        server = self.role(
            SHOW_ATTEMPT + "exit 3",
            name="server",
            primary=False,
            max_retries=2,
            retry_policy=RetryPolicy.REPLICA,
        )
        job = self.run_or_be_refused(runner, self.app(self.role(f"sleep {4 * self.skew}"), server))
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert job.lines("server") == ["attempt 0\n", "attempt 1\n", "attempt 2\n"]

    def test_a_primary_failure_stops_the_server(self, runner: Runner) -> None:
        app = self.app(self.role("exit 3"), self.role(UNTIL_STOPPED, name="server", primary=False))
        job = self.run_or_be_refused(runner, app)
        if job is not None:
            assert "main/0" in job.ends(AppState.FAILED).msg

    # --- min_replicas ----------------------------------------------------------------------------------------------

    def test_a_loss_above_min_replicas_is_tolerated(self, runner: Runner) -> None:
        """A loss above `min_replicas` is tolerated."""
        role = self.role(_FAIL_FIRST + f"sleep {self.skew}; echo done", num_replicas=3, min_replicas=2)
        job = self.run_or_be_refused(runner, self.app(role))
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert job.replica(k=0).exit_code == 3
            assert [job.lines(k=k) for k in (1, 2)] == [["done\n"]] * 2

    def test_a_loss_below_min_replicas_fails_the_job(self, runner: Runner) -> None:
        """A loss below `min_replicas` fails the job."""
        script = f'if [ "$XRUN_REPLICA_ID" != 0 ]; then exit 3; fi; {UNTIL_STOPPED}'
        job = self.run_or_be_refused(runner, self.app(self.role(script, num_replicas=3, min_replicas=2)))
        if job is not None:
            job.ends(AppState.FAILED)
            assert job.replica(k=0).state == AppState.CANCELLED

    def test_all_lost_fails_the_job_whatever_min_replicas(self, runner: Runner) -> None:
        """All lost fails the job, whatever `min_replicas`."""
        job = self.run_or_be_refused(runner, self.app(self.role("exit 3", num_replicas=2, min_replicas=1)))
        if job is not None:
            job.ends(AppState.FAILED)
