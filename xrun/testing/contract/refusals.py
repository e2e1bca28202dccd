"""What is wrong, or more than a scheduler can do, is refused before anything is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xrun.errors import InvalidJob, InvalidValue, UnknownName
from xrun.runner import Runner
from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy
from xrun.specs.workspace import Workspace
from xrun.testing.contract.base import ContractBase

_ASKED: dict[str, dict[str, Any]] = {
    "ports": {"port_map": {"http": 8080}},
    "bind mount": {"mounts": [BindMount("/tmp", "/mnt/tmp", read_only=True)]},  # noqa: S108 - any folder
    "volume mount": {"mounts": [VolumeMount("data", "/mnt/data")]},
    "device mount": {"mounts": [DeviceMount("/dev/null", "/dev/null2")]},
    "gpus": {"resource": Resource(cpu=0.1, gpu=1, memMB=64)},
    "min_replicas": {"num_replicas": 2, "min_replicas": 1},
    "APPLICATION retries": {"max_retries": 1, "retry_policy": RetryPolicy.APPLICATION},
    "ROLE retries": {"max_retries": 1, "retry_policy": RetryPolicy.ROLE},
    "REPLICA retries": {"max_retries": 1, "retry_policy": RetryPolicy.REPLICA},
}

_WRONG: dict[str, dict[str, Any]] = {
    "a reserved variable": {"env": {"XRUN_APP_ID": "mine"}},
    "a bad variable name": {"env": {"A-B": "1"}},
    "a NUL byte": {"env": {"A": "a\0b"}},
    "a lone surrogate": {"env": {"A": "\ud800"}},
    "no replicas": {"num_replicas": 0},
    "too many min_replicas": {"num_replicas": 1, "min_replicas": 2},
    "a secret of no kind": {"secrets": {"A": "plain value"}},
    "the same port twice": {"port_map": {"a": 80, "b": 80}},
    "a role's name": {"name": "a b"},
}


class RefusalCases(ContractBase):
    """Honoured or refused, never ignored; and refused means that nothing has happened."""

    def refusal(self, runner: Runner, app: AppDef) -> InvalidJob:
        """The error of a job that is wrong anywhere."""
        before = self.listed(runner)
        with pytest.raises(InvalidJob) as refused:
            runner.run(app, self.scheduler, self.options())
        assert refused.value.exit_code == 3
        assert self.listed(runner) == before
        return refused.value

    @pytest.mark.parametrize("asked", list(_ASKED))
    def test_what_is_asked_for_is_taken_or_refused(self, runner: Runner, asked: str) -> None:
        """A job can ask for."""
        app = self.app(self.role("true", **_ASKED[asked]))
        if not self.is_refused(runner, app):
            assert runner.dryrun(app, self.scheduler, self.options()).app_id

    def test_a_workspace_is_taken_or_refused(self, runner: Runner, tmp_path: Path) -> None:
        """A job can ask for: a workspace."""
        app = self.app(self.role("true", workspace=Workspace({str(tmp_path): ""})))
        if not self.is_refused(runner, app):
            assert runner.dryrun(app, self.scheduler, self.options()).app_id

    @pytest.mark.parametrize("wrong", list(_WRONG))
    def test_what_is_wrong_is_refused(self, runner: Runner, wrong: str) -> None:
        error = self.refusal(runner, self.app(self.role("true", **_WRONG[wrong])))
        assert "roles[0]" in str(error)

    def test_every_problem_is_named(self, runner: Runner) -> None:
        role = self.role("true", num_replicas=0, max_retries=-1)
        role.entrypoint = ""
        error = self.refusal(runner, self.app(role))
        paths = {p.path for p in error.problems}
        assert paths == {"roles[0].num_replicas", "roles[0].max_retries", "roles[0].entrypoint"}
        assert all(path in str(error) for path in paths)

    def test_torchx_nested_macros_are_refused_with_our_spelling(self, runner: Runner) -> None:
        """TorchX's nested macros are refused with our spelling."""
        error = self.refusal(runner, self.app(self.role("true", "$${${rank0_env}:=localhost}")))
        assert "XRUN_RANK0_HOST" in str(error)

    def test_a_job_without_roles_is_refused(self, runner: Runner) -> None:
        self.refusal(runner, self.app())

    def test_an_unknown_option_is_refused_with_the_near_miss(self, runner: Runner) -> None:
        with pytest.raises(UnknownName, match="max_runtime") as refused:
            runner.run(self.app(self.role("true")), self.scheduler, self.options(max_runtim=3))
        assert refused.value.exit_code == 2

    def test_an_option_of_the_wrong_type_is_refused(self, runner: Runner) -> None:
        with pytest.raises(InvalidValue, match="grace_period"):
            runner.run(self.app(self.role("true")), self.scheduler, self.options(grace_period="soon"))
