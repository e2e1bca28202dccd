"""What is used where the caller says nothing: the environment's word first, then that of the files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xrun import schedulers
from xrun.errors import BackendError, UnknownName
from xrun.specs.handle import DEFAULT_SESSION

if TYPE_CHECKING:
    from xrun.components.finder import Component
    from xrun.runner.config import Config
    from xrun.schedulers.api import Scheduler
    from xrun.specs.app import AppDef
    from xrun.specs.workspace import Workspace

SCHEDULER, PROFILE, WORKSPACE, CFG = "XRUN_SCHEDULER", "XRUN_PROFILE", "XRUN_WORKSPACE", "XRUN_CFG"
"""Environment variables; XRUN_CFG is written as ``-cfg`` is."""


class Defaults:
    """The defaults of one Runner; the files are read on the first question and kept.

    Args:
        session: the profile, or None for the one that the environment or the files name.
    """

    def __init__(self, session: str | None = None) -> None:
        self._given = session
        self._options: dict[tuple[str, str], dict[str, Any]] = {}

    @cached_property
    def config(self) -> Config:
        """The files that applied when this was first asked for.

        Raises:
            InvalidConfig: one is wrong.
        """
        from xrun.runner import config

        return config.load()

    @cached_property
    def session(self) -> str:
        """The session that new jobs belong to.

        Raises:
            InvalidConfig: the environment or a file names a profile that there is not.
        """
        if self._given is not None:
            return self._given
        found = os.environ.get(PROFILE) or self.config.run_default("profile") or DEFAULT_SESSION
        self.config.require_profile(found)
        return found

    @property
    def scheduler(self) -> str:
        """Where jobs run.

        Raises:
            UnknownName: the environment names a scheduler that there is not.
        """
        if named := os.environ.get(SCHEDULER):
            return schedulers.require_name(named, SCHEDULER)
        return self._of_run("scheduler") or schedulers.DEFAULT_SCHEDULER

    @property
    def component(self) -> str | None:
        """The component of a run that names none."""
        return self._of_run("component")

    @property
    def workspace(self) -> str | None:
        """The workspace of jobs that name none."""
        found = os.environ.get(WORKSPACE)
        return self._of_run("workspace") if found is None else found

    def with_workspace(self, app: AppDef, given: Workspace | str | None) -> AppDef:
        """A job whose roles all have a workspace, if there is one to give those that name none.

        Args:
            app: the job, which is left as it is.
            given: the caller's (default: as configured; "" for none).
        """
        found = self.workspace if given is None else given
        if not found or not isinstance(app.roles, list):
            return app
        import copy

        from xrun.specs.workspace import Workspace

        shared = Workspace.from_str(found) if isinstance(found, str) else found
        changed = copy.copy(app)
        changed.roles = [copy.copy(role) for role in app.roles]
        for role in changed.roles:
            role.workspace = role.workspace or shared
        return changed

    def component_args(self, component: Component) -> dict[str, Any]:
        """Arguments that a component gets unless they are given."""
        return self.config.component_defaults(component, self.session) if self.config.files else {}

    def configured(self, target: Scheduler[Any]) -> Any:
        """The options that the files give a scheduler in its session.

        Raises:
            InvalidConfig: one is wrong.
        """
        options = target.run_opts()
        return options.resolve(self.config.scheduler_options(target.name, options, target.session))

    def cfg(self, target: Scheduler[Any], given: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
        """All options for a submission to a scheduler.

        Args:
            target: the scheduler.
            given: those of the caller.

        Returns:
            Those that are ``target``'s, and a notice for each that is another scheduler's.

        Raises:
            UnknownName: an option that no scheduler has.
            InvalidConfig: one in a file is wrong.
        """
        options = target.run_opts()
        here = target.name, target.session
        if here not in self._options:
            self._options[here] = self.config.scheduler_options(target.name, options, target.session)
        known, notices = dict(self._options[here]), []
        asked = {**options.cfg_from_str(os.environ.get(CFG, "")), **(given or {})}
        for key, value in asked.items():
            if options.get(key):
                known[key] = value
                continue
            owners = _owners(key)
            if not owners:
                hint = f"see xrun runopts {target.name}"
                raise UnknownName("option", key, [name for name, _ in options], hint, code="XR077")
            notices.append(f"option {key} is {'/'.join(owners)}'s; {target.name} ignores it")
        return known, notices

    def _of_run(self, name: str) -> str | None:
        return self.config.run_default(name, self.session)


def _owners(option: str) -> list[str]:
    """The schedulers that have an option."""
    owners = []
    for name in schedulers.get_scheduler_factories():
        try:
            scheduler = schedulers.create_scheduler(name, DEFAULT_SESSION)
        except BackendError:
            continue  # a plugin that fails has no say
        if scheduler.run_opts().get(option):
            owners.append(name)
        scheduler.close()
    return owners
