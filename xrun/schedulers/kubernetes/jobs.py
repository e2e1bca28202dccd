"""The jobs of a cluster: the contract in terms of its objects. Imported when a cluster is asked, not by dry runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from xrun.errors import BackendError, InvalidJob
from xrun.schedulers import machine
from xrun.schedulers.api import AppDescription, ListedApp
from xrun.schedulers.kubernetes import labels, logs, names, reasons, states, submission, watching
from xrun.schedulers.kubernetes.client import AWAY, JOB, JOBSET, POD, SERVICE, Cluster, Refused
from xrun.schedulers.kubernetes.keeper import Keeper
from xrun.schedulers.kubernetes.logs import Part
from xrun.schedulers.kubernetes.objects import Found
from xrun.schedulers.kubernetes.request import KubernetesRequest
from xrun.schedulers.kubernetes.submission import Submission
from xrun.schedulers.kubernetes.watching import Watcher
from xrun.schedulers.logs import LogChunk, LogQuery, tail_of
from xrun.specs.app import AppDef
from xrun.specs.dryrun import AppDryRunInfo
from xrun.specs.problems import Problem
from xrun.specs.states import is_terminal

_GATHERED = 0.03  # seconds in which changes are taken together
_LOOK_AGAIN = 10.0
_STOPS = 60.0  # seconds after the grace period that pods have to go
_GOES = 120.0
_STUCK = "XR175"
_NOT_THERE = 404


class Jobs:
    """The jobs of a cluster.

    Args:
        cluster: where.
        progress: takes lines about what may surprise.
    """

    def __init__(self, cluster: Cluster, progress: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._progress = progress
        self._apps: dict[str, AppDef | None] = {}  # uid of the app's object -> the job

    def submit(self, info: AppDryRunInfo[KubernetesRequest]) -> bool:
        """Creates the app's object and what belongs to it; False if there is one of that name."""
        return Submission(self._cluster, info, self._progress).run()

    def check(self, info: AppDryRunInfo[KubernetesRequest]) -> list[Problem]:
        """What is sure to fail here, and what the API server finds wrong."""
        try:
            sent = Submission(self._cluster, info, self._progress)
        except InvalidJob as refusal:
            return list(refusal.problems)
        problems, plan = machine.missing_secrets(info.app, os.environb) + sent.check(), info.request.plan
        if (queue := plan.options.queue) and (why := reasons.no_queue(self._cluster, plan.namespace, queue)):
            problems.append(Problem("XR176", "options.queue", why, "xrun doctor -s kubernetes names the queues"))
        return problems

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """From one list of each kind in each namespace; one app that waits is looked at more closely."""
        described: dict[str, AppDescription] = {}
        for namespace, mine in _by_namespace(app_ids).items():
            found = watching.lists(self._cluster, namespace, list(mine))
            for name, app_id in mine.items():
                if name in found:
                    said = reasons.why_waits(self._cluster, namespace, found[name]) if len(app_ids) == 1 else ""
                    described[app_id] = self._describe(found[name], app_id, said)
        return described

    def listed(self) -> Iterable[ListedApp]:
        """From one list of each kind."""
        for name, found in watching.lists(self._cluster, "", []).items():
            there = self._describe(found, _app_id(found, self._cluster.namespace), "")
            title = found.notes.get(labels.NAME, name)
            yield ListedApp(
                there.app_id, title, there.status.state, there.user, there.submitted, there.status.ended, there.handle
            )

    def cancel(self, app_id: str) -> None:
        """Suspends the app's object, and keeps what its pods wrote until they are gone."""
        namespace, name = names.split_app_id(app_id)
        changed = threading.Event()
        with Watcher(self._cluster, namespace, [name], changed) as watcher:
            found = watcher.found([name]).get(name)
            if found is None:
                return
            keeper = Keeper(self._cluster, namespace, watcher)
            keeper.look(found, everything=True)
            path = self._cluster.path(JOBSET if found.is_jobset else JOB, namespace, name)
            if labels.CANCELLED not in found.notes:
                after = {"kind": found.head["kind"], **submission.suspend(self._cluster, path, time.time())}
                if states.verdict(Found(_unmarked(after), [], [], []), None) is not None:
                    submission.unmark(self._cluster, path)
                    return
            reasons.withdraw(self._cluster, namespace, found)
            end = time.monotonic() + _grace(found) + _STOPS
            while (found := watcher.found([name]).get(name)) is not None:
                watcher.take()
                keeper.look(found, everything=True)
                if not states.active(found) and _is_idle(found):
                    break
                if time.monotonic() > end:
                    keeper.close()
                    break
                changed.wait(1.0)
                changed.clear()
            keeper.finish(name)

    def delete(self, app_id: str) -> bool:
        """Removes the app's object and waits until all that belongs to it is gone."""
        namespace, name = names.split_app_id(app_id)
        removed = False
        for kind in (JOB, JOBSET):
            path = self._cluster.path(kind, namespace, name)
            if self._is_ours(path):
                removed |= self._remove(path, "Foreground")
                self._await_gone(path)
        if not removed and self._cluster.list(POD, namespace, watching.selector([name])).items:
            chosen = f"-l {labels.APP_ID}={name}"
            self._progress(f"pods of {name} that no Job has any more stay; kubectl delete pods {chosen} removes them")
        service = self._cluster.path(SERVICE, namespace, name)
        if self._is_ours(service):  # made by hand, from what was rendered
            removed |= self._remove(service)
        return removed

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """From the kubelets, and of removed pods what was kept."""
        namespace, name = names.split_app_id(app_id)
        if query.follow:
            chunks = self._follow(namespace, name, query)
        else:
            found = watching.lists(self._cluster, namespace, [name]).get(name)
            parts = logs.parts_of(found, namespace, query) if found is not None else []
            chunks = logs.read(self._cluster, parts, query, self._progress)
        return tail_of(chunks, query.tail) if query.tail is not None else chunks

    def watch(self, app_ids: Sequence[str], timeout: float | None = None) -> Iterator[Mapping[str, AppDescription]]:
        """Woken by the API server. One that goes away meanwhile is waited for, a while.

        Raises:
            BackendUnavailable: the cluster can't be reached at first, or does not come back.
        """
        end = None if timeout is None else time.monotonic() + timeout
        changed = threading.Event()
        with ExitStack() as stack:
            spaces = {
                namespace: _Space(self._cluster, namespace, mine, stack, changed, self._describe, timeout)
                for namespace, mine in _by_namespace(app_ids).items()
            }
            known: dict[str, AppDescription] = {}
            while True:
                due = min((space.update(known) for space in spaces.values()), default=0.0)
                yield dict(known)
                if all(is_terminal(there.status.state) for there in known.values()):
                    return
                left = _LOOK_AGAIN if end is None else min(_LOOK_AGAIN, end - time.monotonic())
                if left <= 0:
                    return
                if changed.wait(max(0.0, min(left, due - time.time()))):
                    time.sleep(_GATHERED)
                    changed.clear()

    # --- looking ---------------------------------------------------------------------------------------------------

    def _describe(self, found: Found, app_id: str, said: str) -> AppDescription:
        uid = found.head["metadata"]["uid"]
        if uid not in self._apps:
            self._apps[uid] = states.app_of(found)
        return states.describe(found, app_id, self._apps[uid], said)

    def _follow(self, namespace: str, name: str, query: LogQuery) -> Iterator[LogChunk]:
        changed = threading.Event()
        with Watcher(self._cluster, namespace, [name], changed) as watcher:
            keeper = Keeper(self._cluster, namespace, watcher)
            due = [float("inf")]

            def parts() -> tuple[Sequence[Part], bool]:
                watcher.take()
                found = watcher.found([name]).get(name)
                if found is None:
                    return [], True
                keeper.look(found)
                due[0] = keeper.due(found)
                ended = is_terminal(states.app_state(found, states.app_of(found)))
                return logs.parts_of(found, namespace, query), ended

            def more(known: set[tuple[str, str]]) -> Sequence[Part] | None:
                changed.wait(max(0.0, min(_LOOK_AGAIN, due[0] - time.time())))
                changed.clear()
                followed = {uid for uid, _ in known}
                there, ended = parts()
                fresh = [p for p in there if p.log_key not in known and not (p.is_kept and p.pod.uid in followed)]
                if ended and not fresh:
                    keeper.finish(name)
                    return None
                return fresh

            def wake() -> None:
                keeper.close()
                changed.set()

            yield from logs.follow(self._cluster, parts()[0], query, more, wake)

    def _remove(self, path: str, propagation: str = "Background") -> bool:
        return self._cluster.steady(partial(self._cluster.delete, "delete", path, propagation))

    def _is_ours(self, path: str) -> bool:
        try:
            there = self._cluster.steady(lambda: self._cluster.get("look at the app", path))
        except Refused as error:
            if error.status != _NOT_THERE:
                raise
            return False  # so is a JobSet, where the cluster has no such thing
        return labels.APP_ID in (there["metadata"].get("labels") or {})

    def _await_gone(self, path: str) -> None:
        end, pause = time.monotonic() + _GOES, 0.05
        while self._is_ours(path):
            if time.monotonic() > end:
                raise BackendError(
                    f"{path.rpartition('/')[2]} is being deleted, and has not gone after {_GOES:g} s; kubectl describe "
                    "shows what holds it",
                    code=_STUCK,
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)


class _Space:
    """The apps of one namespace that are waited for."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        mine: Mapping[str, str],
        stack: ExitStack,
        changed: threading.Event,
        describe: Callable[[Found, str, str], AppDescription],
        timeout: float | None,
    ) -> None:
        self._mine, self._describe = mine, describe
        patience = AWAY if timeout is None else min(AWAY, timeout)
        self._watcher = stack.enter_context(Watcher(cluster, namespace, list(mine), changed, patience))
        self._keeper = Keeper(cluster, namespace, self._watcher)
        stack.callback(self._keeper.close)
        self._cluster, self._namespace = cluster, namespace
        self._due: dict[str, float] = {}

    def update(self, known: dict[str, AppDescription]) -> float:
        """Describes what has changed; gives the Unix time at which it is to be called at the latest."""
        now = time.time()
        due = {name for name, moment in self._due.items() if moment <= now}
        dirty = (self._watcher.take() | due) & self._mine.keys()
        found = self._watcher.found(dirty) if dirty else {}
        for name in dirty:
            app_id = self._mine[name]
            self._due.pop(name, None)
            if name not in found:
                known.pop(app_id, None)
                continue
            self._keeper.look(found[name])
            if (moment := min(self._keeper.due(found[name]), states.due(found[name]))) > now:
                self._due[name] = moment
            said = ""
            if len(self._mine) == 1:
                said = reasons.why_waits(self._cluster, self._namespace, found[name])
                if reasons.unstarted(found[name]):
                    self._due[name] = min(self._due.get(name, float("inf")), now + _LOOK_AGAIN)
            there = self._describe(found[name], app_id, said)
            if is_terminal(there.status.state):
                self._keeper.finish(name)
                there = self._describe(self._watcher.found([name]).get(name, found[name]), app_id, "")
            known[app_id] = there
        return min(self._due.values(), default=float("inf"))


def _by_namespace(app_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Namespace -> name of the app's object -> app id."""
    spaces: dict[str, dict[str, str]] = {}
    for app_id in app_ids:
        namespace, name = names.split_app_id(app_id)
        spaces.setdefault(namespace, {})[name] = app_id
    return spaces


def _app_id(found: Found, namespace: str) -> str:
    """The id that the app was given; it holds the namespace if that was named."""
    handle = found.notes.get(labels.HANDLE, "")
    given = handle.rpartition("/")[2]
    return given if given in (found.name, f"{namespace}:{found.name}") else found.name


def _grace(found: Found) -> float:
    template = found.jobs[0]["spec"]["template"]["spec"] if found.jobs else {}
    return float(template.get("terminationGracePeriodSeconds") or 30)


def _is_idle(found: Found) -> bool:
    """Whether no Job of a suspended app makes pods any more."""
    return all(
        (job.get("status") or {}).get("active", 0) == 0 and (job["spec"].get("suspend") or _is_over(job))
        for job in found.jobs
    )


def _is_over(job: Mapping[str, object]) -> bool:
    from xrun.schedulers.kubernetes.objects import condition

    return condition(job, "Complete", "Failed") is not None


def _unmarked(head: Mapping[str, object]) -> dict[str, object]:
    meta = dict(head["metadata"])  # type: ignore[call-overload] # an object of the API
    meta["annotations"] = {k: v for k, v in (meta.get("annotations") or {}).items() if k != labels.CANCELLED}
    return {**head, "metadata": meta}
