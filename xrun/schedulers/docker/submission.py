"""An app comes to be: all of it or nothing.

The container that holds the job is created last; without it there is no app, and nothing is started before. So whoever
finds containers without it finds a submission that goes on or was cut off, and of the latter everything is removed:
at once if it was of this machine, where a lock tells who lives, else after a while.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers import gpus as machine_gpus
from xrun.schedulers.docker import containers, gpus, labels, locks, request
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.gpus import Key
from xrun.schedulers.docker.labels import Found, Seen, Verdict
from xrun.schedulers.docker.request import DockerRequest
from xrun.schedulers.user import user_name
from xrun.specs.dryrun import AppDryRunInfo

_OTHERS = 60.0  # seconds to wait for somebody else who submits the same
_CUT_OFF = 3600.0  # seconds after which another machine's unfinished submission won't be finished
_DRAWS = 20  # choices of GPUs that somebody else was faster at
_ELSEWHERE = "XR129"


class Submission:
    """One app on its way to an engine.

    Args:
        engine: where.
        info: the request and its identity.
        images: what each role's containers are made of.
        copied: variables of the launcher that programs get, unless the request says otherwise.
        secrets: for each role: variables that are secret.
    """

    def __init__(
        self,
        engine: Engine,
        info: AppDryRunInfo[DockerRequest],
        images: Sequence[str],
        copied: Mapping[str, str],
        secrets: Sequence[Mapping[str, str]],
    ) -> None:
        self._engine, self._asked, self._images = engine, info.request, images
        self._copied, self._secrets = copied, secrets
        self._own = {
            labels.REQUEST_ID: info.request_id,
            labels.SPEC_HASH: info.spec_hash,
            labels.SUBMITTED: f"{time.time():.6f}",
            labels.USER: user_name(),
            labels.MACHINE: locks.place(),
            labels.SUBMISSION: os.urandom(8).hex(),
        }

    def run(self) -> bool:
        """Creates and starts everything; False if there is an app of that id.

        Raises:
            BackendError: the engine refuses, or somebody else's submission of the same neither ends nor goes on.
            BackendUnavailable: the engine can't be reached; what was made is removed by the next command that can.
        """
        app_id, end = self._asked.app_id, time.monotonic() + _OTHERS
        while True:
            with locks.try_lock(app_id) as lock:
                there = containers.apps(self._engine, app_id).get(app_id)
                if there is not None and there.is_app:
                    return False
                if lock is not None:
                    if there is not None and is_cut_off(there):
                        containers.remove_app(self._engine, there)
                        there = None
                    if there is None and self._made():
                        self._start()
                        return True
            if time.monotonic() > end:
                message = f"{self._asked.handle} is being submitted elsewhere, or that was cut off"
                raise BackendError(
                    f"{message}; xrun delete {self._asked.handle} removes what is there", code=_ELSEWHERE
                )
            time.sleep(0.1)

    # --- creating --------------------------------------------------------------------------------------------------

    def _made(self) -> bool:
        """Creates all containers; False if somebody else has begun to. What is made is removed if it can't be all."""
        devices, real = self._devices()
        for _ in range(_DRAWS):
            chosen = self._choose(devices)
            try:
                if self._create_all(chosen, real):
                    return True
            except BaseException:
                with contextlib.suppress(BackendError, BackendUnavailable):
                    self._remove_mine()
                raise
            if not chosen or not self._remove_mine():
                return False
            time.sleep(random.uniform(0.05, 0.5))  # noqa: S311 - so that two who gave way don't meet again
        raise BackendError("the GPUs that were free were taken by others each time; submit again", code=gpus.BUSY)

    def _create_all(self, chosen: Mapping[Key, list[str]], real: bool) -> bool:
        asked = self._asked
        keys = [(r, k) for r, role in enumerate(asked.app.roles) for k in range(role.num_replicas)]
        every = ",".join(device for devices in chosen.values() for device in devices)
        configs = {key: self._config(key, chosen.get(key, []), every, real) for key in keys}
        names = {key: labels.container_name(asked.app_id, asked.app.roles[key[0]].name, key[1], 0) for key in keys}
        first, *rest = keys[::-1]  # the first to be made claims the id
        if not containers.create(self._engine, names[first], configs[first]):
            return False
        if asked.is_gang:
            sweep_networks(self._engine)
            containers.create_network(self._engine, asked.app_id, request.app_labels(asked))
        middle = rest[:-1]
        self._create_others([(names[k], configs[k]) for k in middle])
        if rest and chosen and self._is_contended(every.split(",")):
            return False
        if rest:
            self._create_others([(names[rest[-1]], configs[rest[-1]])])
        return not (chosen and not rest and self._is_contended(every.split(",")))

    def _create_others(self, wanted: Sequence[tuple[str, dict[str, Any]]]) -> None:
        made = containers.side_by_side([partial(containers.create, self._engine, *one) for one in wanted])
        for (name, _), is_mine in zip(wanted, made, strict=True):
            if not is_mine:
                raise BackendError(f"there is a container {name} that is not of this submission", code=_ELSEWHERE)

    def _config(self, key: Key, devices: Sequence[str], every: str, real: bool) -> dict[str, Any]:
        r, k = key
        config = request.container(self._asked, r, k)
        texts = {**self._copied, **dict(pair.split("=", 1) for pair in config["Env"]), **self._secrets[r]}
        config["Image"] = self._images[r]
        config["Labels"] |= self._own
        if key == (0, 0):
            config["Labels"] |= request.head_labels(self._asked)
        if devices:
            config["Labels"] |= {labels.GPUS: ",".join(devices), labels.APP_GPUS: every}
            if real:
                config["HostConfig"]["DeviceRequests"] = request.gpu_request(list(devices))
            else:
                texts["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        config["Env"] = [f"{name}={text}" for name, text in texts.items()]
        return config

    def _remove_mine(self) -> bool:
        """Removes what this submission made; False if it made nothing."""
        found = containers.apps(self._engine, self._asked.app_id).get(self._asked.app_id)
        mine = [c for c in found.containers if self._is_mine(c)] if found is not None else []
        return containers.remove_app(self._engine, Found(self._asked.app_id, mine, None)) if mine else False

    def _is_mine(self, c: Seen) -> bool:
        return c.labels.get(labels.SUBMISSION) == self._own[labels.SUBMISSION]

    # --- GPUs ------------------------------------------------------------------------------------------------------

    def _devices(self) -> tuple[list[str], bool]:
        """The GPUs there are, and whether the engine can pass them in."""
        if not gpus.needed(self._asked.app):
            return [], False
        devices = machine_gpus.visible_devices(self._asked.options.gpus, os.environb)
        with self._engine.doing("ask what it can do") as api:
            real = "nvidia" in (api.info().get("Runtimes") or {})
        if devices and not real and self._asked.options.gpus < 0:
            raise BackendError(gpus.NO_RUNTIME, code=gpus.NO_RUNTIME_CODE)
        return devices, real

    def _choose(self, devices: Sequence[str]) -> dict[Key, list[str]]:
        if not gpus.needed(self._asked.app):
            return {}
        return gpus.choose(self._asked.app, devices, gpus.held(containers.apps(self._engine).values()))

    def _is_contended(self, wanted: Sequence[str]) -> bool:
        others = containers.apps(self._engine)
        others.pop(self._asked.app_id, None)
        return not set(wanted).isdisjoint(gpus.held(others.values()))

    # --- starting --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        found = containers.apps(self._engine, self._asked.app_id).get(self._asked.app_id)
        if found is None:
            return

        def one(c: Seen) -> None:
            try:
                containers.start(self._engine, c.id)
            except Refused:
                if not self._asked.is_supervised:
                    self._decide_unstarted(found, c)

        containers.side_by_side([partial(one, c) for c in found.containers])

    def _decide_unstarted(self, found: Found, c: Seen) -> None:
        state = containers.state_of(containers.inspect(self._engine, c.id))
        reason = f"{c.role_name}/{c.replica} failed: {state.outcome}: {state.note}"
        containers.decide(self._engine, found, Verdict("FAILED", reason, c.key, time.time()))


def is_cut_off(found: Found) -> bool:
    """Whether what is there is of a submission that won't go on, given that nobody on this machine is at it."""
    if found.is_app:
        return False
    return found.any_labels.get(labels.MACHINE) == locks.place() or time.time() - found.submitted > _CUT_OFF


def sweep(engine: Engine, found: Found) -> None:
    """Removes what a submission left that was cut off, or a removal."""
    if found.is_app or not (is_cut_off(found) or not found.containers):
        return
    with locks.try_lock(found.app_id) as lock:
        if lock is None:
            return
        again = containers.apps(engine, found.app_id).get(found.app_id)
        if again is not None and not again.is_app and (is_cut_off(again) or not again.containers):
            containers.remove_app(engine, again)


def sweep_networks(engine: Engine) -> None:
    """Removes networks of apps that have none left of their containers, or have ended: an engine has not many.

    An app's network is made after its first container, so one that is listed before the containers are, and has none,
    belongs to nobody any more.
    """
    app_ids = containers.networks(engine)
    found = containers.apps(engine) if app_ids else {}
    for app_id in app_ids:
        app = found.get(app_id)
        ended = app is not None and app.verdict is not None and not any(c.runs for c in app.containers)
        if app is None or ended:
            containers.remove_network(engine, app_id)
