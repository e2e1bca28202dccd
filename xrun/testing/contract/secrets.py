"""Secrets arrive and are seen nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xrun.errors import XrunError
from xrun.runner import Runner
from xrun.specs.serialize import to_json
from xrun.specs.states import AppState
from xrun.testing.contract.base import ContractBase, launcher_env

_VALUE = "s3cr3t 'quoted' $HOME\nsecond line"
_OUTSIDE = "CONTRACT_SECRET_OUTSIDE"
_SHOW = 'printf %s "$TOKEN"'
_SHOW_ARGUMENTS = "tr '\\0' ' ' </proc/$$/cmdline"


class SecretCases(ContractBase):
    """References are resolved at submission; values are never in a render, an answer or an argument."""

    def test_a_secret_from_the_environment_arrives(self, runner: Runner) -> None:
        app = self.app(self.role(_SHOW, secrets={"TOKEN": f"env:{_OUTSIDE}"}))
        with launcher_env(**{_OUTSIDE: _VALUE}):
            job = self.run_or_be_refused(runner, app)
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert "".join(job.lines()) == _VALUE

    def test_a_secret_from_a_file_arrives(self, runner: Runner, tmp_path: Path) -> None:
        path = tmp_path / "token file"
        path.write_text(_VALUE + "\n")
        job = self.run_or_be_refused(runner, self.app(self.role(_SHOW, secrets={"TOKEN": f"file:{path}"})))
        if job is not None:
            path.unlink()
            job.ends(AppState.SUCCEEDED)
            assert "".join(job.lines()) == _VALUE

    def test_a_secret_is_seen_nowhere_else(self, runner: Runner) -> None:
        app = self.app(self.role(_SHOW_ARGUMENTS, secrets={"TOKEN": f"env:{_OUTSIDE}"}))
        with launcher_env(**{_OUTSIDE: _VALUE}):
            if self.is_refused(runner, app):
                return
            render = str(runner.dryrun(app, self.scheduler, self.options()))
            job = self.run(runner, app)
        status = job.ends(AppState.SUCCEEDED)
        there = runner.describe(job.handle)
        assert there is not None
        seen = [render, to_json(there), json.dumps(status.to_json()), *job.lines(), repr(runner.list(self.scheduler))]
        assert not [text for text in seen if "s3cr3t" in text]
        assert there.roles[0].secrets == {"TOKEN": f"env:{_OUTSIDE}"}

    def test_a_secrets_value_does_not_change_the_job(self, runner: Runner) -> None:
        """A secret's value does not change the job."""
        app = self.app(self.role(_SHOW, secrets={"TOKEN": f"env:{_OUTSIDE}"}))
        if self.is_refused(runner, app):
            return
        hashes = set()
        for value in ("one", "two"):
            with launcher_env(**{_OUTSIDE: value}):
                hashes.add(runner.dryrun(app, self.scheduler, self.options()).spec_hash)
        assert len(hashes) == 1

    def test_a_secret_that_is_not_there_is_refused_before_submission(self, runner: Runner, tmp_path: Path) -> None:
        for reference in (f"env:{_OUTSIDE}", f"file:{tmp_path / 'nowhere'}"):
            app = self.app(self.role(_SHOW, secrets={"TOKEN": reference}))
            if self.is_refused(runner, app):
                continue
            before = self.listed(runner)
            with launcher_env(**{_OUTSIDE: None}), pytest.raises(XrunError, match="TOKEN") as refusal:
                runner.run(app, self.scheduler, self.options())
            assert refusal.value.exit_code in (2, 3, 4)
            assert self.listed(runner) == before

    def test_a_kubernetes_secret_is_taken_or_refused(self, runner: Runner) -> None:
        """A Kubernetes secret can be named."""
        app = self.app(self.role(_SHOW, secrets={"TOKEN": "k8s:tokens/main"}))
        if not self.is_refused(runner, app):
            assert "tokens" in str(runner.dryrun(app, self.scheduler, self.options()))
