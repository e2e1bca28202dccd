"""``-s local``: the contract, in terms of folders and supervisors."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xrun import __version__
from xrun.errors import BackendError, InvalidJob
from xrun.schedulers import gpus, machine, replica, secrets
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Probe, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.home import HOME_VARIABLE, home, unwritable
from xrun.schedulers.local import client, request, state, states
from xrun.schedulers.local.journal import JournalReader, log_files
from xrun.schedulers.local.request import LocalOptions, LocalRequest
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery, tail_of
from xrun.schedulers.user import user_name
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.handle import DEFAULT_SESSION
from xrun.specs.problems import Problem
from xrun.specs.serialize import to_dict
from xrun.specs.states import is_terminal
from xrun.specs.workspace import GIT_ROOT

# seconds between looks at a supervisor that can't be listened to: it has hung up and not yet let go of its lock, or is
# in another network namespace
_DYING = 0.01

_CAPABILITIES = Capabilities(
    secrets=frozenset({"env", "file"}),
    workspace=True,
    unused=frozenset({"image", "resource.devices", "resource.capabilities"}),
)


def create_scheduler(session: str = DEFAULT_SESSION, *, own_process: bool = False, **_: Any) -> LocalScheduler:
    """Makes the local scheduler.

    Args:
        session: the profile.
        own_process: whether this process is a command of ours, without threads, so that it may fork supervisors itself.
    """
    return LocalScheduler(session, own_process)


class LocalScheduler(Scheduler[LocalRequest]):
    """Jobs on this machine.

    Args:
        session: the profile.
        own_process: see `create_scheduler`.
    """

    name = "local"
    attaches = True
    options_type = LocalOptions

    def __init__(self, session: str = DEFAULT_SESSION, own_process: bool = False) -> None:
        super().__init__(session)
        self._client = client.LocalClient(own_process)
        self._swept = False

    def capabilities(self, options: Any) -> Capabilities:
        """Everything but mounts and Kubernetes' secrets; cpu and memMB are not enforced."""
        return _CAPABILITIES

    def build_request(self, app: AppDef, options: LocalOptions, app_id: str) -> LocalRequest:
        """The app as this machine runs it."""
        return request.build(app, options, app_id, self.handle_of(app_id))

    def render(self, request_: LocalRequest) -> str:
        """A shell script that starts the same programs."""
        return request.render(request_)

    def submit_request(self, info: AppDryRunInfo[LocalRequest]) -> bool:
        """Makes the app's folder and supervisor; False if the folder is there.

        Raises:
            InvalidJob: a script or the working directory isn't there.
            BackendError: fewer GPUs than asked for, or the state can't be written.
        """
        from xrun.schedulers.local.launch import Launch
        from xrun.schedulers.local.supervisor import Plan

        self._sweep()
        asked = info.request
        workdir = os.path.abspath(os.path.join(machine.current_folder(), _folder(asked.workdir)))
        if missing := machine.missing_files(asked.app, workdir):
            raise InvalidJob(missing)
        devices = self._devices(asked)
        plan = Plan(
            app_id=asked.app_id,
            handle=asked.handle,
            app=asked.app,
            home=home(),
            folder=state.folder_of(asked.app_id),
            env=_inherited(asked),
            secrets=[secrets.resolve(role.secrets, os.environb) for role in asked.app.roles],
            workdir=workdir,
            devices=devices,
            max_runtime=asked.options.max_runtime,
            grace_period=asked.options.grace_period,
        )
        return self._client.launch(Launch(plan, _head(info)))

    def check_request(self, info: AppDryRunInfo[LocalRequest]) -> list[Problem]:
        """What a submission looks at, and whether the programs can be started: on this machine, now."""
        asked = info.request
        workdir = os.path.abspath(os.path.join(machine.current_folder(), _folder(asked.workdir)))
        found = machine.unwritable_home() + machine.missing_files(asked.app, workdir)
        found += machine.missing_programs(asked.app, asked.app_id, workdir, _inherited(asked))
        found += machine.missing_secrets(asked.app, os.environb)
        try:
            self._devices(asked)
        except BackendError as error:
            message, _, fix = str(error).partition("; ")
            found.append(Problem(error.code, "roles", message, fix))
        return found

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From each app's folder."""
        self._sweep()
        found = {app_id: states.describe(app_id) for app_id in app_ids}
        return {app_id: description for app_id, description in found.items() if description is not None}

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Every folder of this home; only those without a verdict where one with a verdict isn't wanted."""
        self._sweep()
        live = wanted.states and not any(map(is_terminal, wanted.states))
        for app_id in client.live_app_ids() if live else client.app_ids():
            try:
                there = states.describe(app_id)
            except BackendError:
                continue  # another user's, perhaps; it must not keep us from ours
            if there is not None:
                name = there.app.name if there.app else app_id
                yield ListedApp(
                    app_id, name, there.status.state, there.user, there.submitted, there.status.ended, there.handle
                )

    def cancel_existing(self, app_id: str) -> None:
        """Tells the supervisor; one that is gone has nothing to tell.

        Raises:
            BackendError: the app runs on another host.
        """
        from xrun.schedulers.local.supervisor import CANCEL

        line = client.Line(app_id)
        if line.open:
            line.send(CANCEL)
            line.close()
        else:
            self._refuse_elsewhere(app_id)
            client.terminate(app_id)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the folder."""
        return client.remove(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the app's files, in the order of the journal."""
        chunks = self._chunks(app_id, query)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the apps' supervisors; nothing is polled.

        Raises:
            BackendError: an app runs on another host, so that nothing here can tell when it ends.
        """
        end = None if timeout is None else time.monotonic() + timeout
        lines = {app_id: client.Line(app_id) for app_id in app_ids}
        try:
            while True:
                found = self.describe_many(app_ids)
                yield found
                running = [app_id for app_id, there in found.items() if not is_terminal(there.status.state)]
                left = None if end is None else end - time.monotonic()
                if not running or (left is not None and left <= 0):
                    return
                waiting = [lines[app_id] for app_id in running if lines[app_id].open]
                if len(waiting) < len(running):
                    for app_id in running:
                        self._refuse_elsewhere(app_id)
                    left = _DYING if left is None else min(left, _DYING)
                client.wait_any(waiting, left)
        finally:
            for line in lines.values():
                line.close()

    def probe(self) -> list[Probe]:
        """The home, where programs keep their own files, the shell that components use, GPUs."""
        import shutil
        import tempfile

        folder, temporary = home(), tempfile.gettempdir()
        why, shell = unwritable(folder), shutil.which("sh")
        found = [
            Probe("home", not why, f"{why}; set {HOME_VARIABLE}" if why else folder),
            Probe("temporary files", not unwritable(temporary), unwritable(temporary) or temporary),
            Probe("shell", shell is not None, shell or "there is no sh on PATH, which utils.sh needs"),
        ]
        try:
            devices = gpus.visible_devices(-1, os.environb)
        except BackendError as error:
            return [*found, Probe("gpus", False, str(error))]
        return [*found, Probe("gpus", True, f"{len(devices)} found")]

    def close(self) -> None:
        """Ends the forker, if there is one."""
        self._client.close()

    def _sweep(self) -> None:
        """Once a launcher: ends what killed supervisors left."""
        if not self._swept:
            self._swept = True
            client.sweep()

    def _chunks(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        there = states.describe(app_id)
        roles = [(role.name, role.num_replicas) for role in there.app.roles] if there and there.app else []
        reader = JournalReader(state.folder_of(app_id), log_files(roles), query)
        line = client.Line(app_id)
        try:
            yield from reader.new()
            if query.follow and state.is_supervised(app_id):
                yield CAUGHT_UP
                while state.is_supervised(app_id):
                    client.wait_any([line] if line.open else [], None if line.open else _DYING)
                    yield from reader.new()
            if not state.is_supervised(app_id):
                yield from reader.rest()
        finally:
            reader.close()
            line.close()

    def _devices(self, asked: LocalRequest) -> list[str]:
        if not asked.gpus:
            return []
        devices = gpus.visible_devices(asked.options.gpus, os.environb)
        if len(devices) < asked.gpus:
            raise BackendError(
                f"the job asks for {asked.gpus} GPUs and this machine has {len(devices)}; ask for fewer, "
                "or say how many there are with -cfg gpus=N",
                code="XR103",
            )
        return devices

    def _refuse_elsewhere(self, app_id: str) -> None:
        record = state.read(app_id)
        where = states.where_it_runs(record) if record and not record.ended else ""
        if where:
            raise BackendError(f"{self.handle_of(app_id)} {where}; ask there", code="XR104")


def _head(info: AppDryRunInfo[LocalRequest]) -> dict[str, Any]:
    return {
        "app": to_dict(info.app),
        "app_id": info.app_id,
        "handle": info.request.handle,
        "request_id": info.request_id,
        "spec_hash": info.spec_hash,
        "options": dict(vars(info.options)),
        "user": user_name(),
        "submitted": round(time.time(), 6),
        "host": state.host_identity(),
        "version": __version__,
    }


def _folder(workdir: str) -> str:
    if workdir != GIT_ROOT:
        return workdir
    from xrun.workspaces import local_folder

    return local_folder(workdir)


def _inherited(asked: LocalRequest) -> dict[bytes, bytes]:
    if not asked.options.inherit_env:
        return {}
    return replica.inherited_env(os.environb, os.path.dirname(sys.executable))
