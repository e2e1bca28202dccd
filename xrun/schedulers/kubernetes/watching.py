"""What a cluster has of apps, kept up to date by its API server: a list, and then a watch, for each kind of object."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from xrun.errors import BackendUnavailable
from xrun.schedulers.kubernetes import labels, objects
from xrun.schedulers.kubernetes.client import AWAY, CONFIG_MAP, JOB, JOBSET, POD, Cluster, Refused
from xrun.schedulers.kubernetes.objects import Found, Pod
from xrun.schedulers.streams import Streams

_WATCHED = (JOB, JOBSET, POD)
_NAMED = 40  # apps that a selector names; more are all that are there
_SECONDS = 240  # of one watch, after which the API server is asked again
_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_LETS_GO = 1.0  # seconds that threads have to end
_GONE, _NOT_THERE = 410, 404


def selector(names: Sequence[str]) -> str:
    """Which objects are of some apps; of any app, if there are none or too many."""
    if 0 < len(names) <= _NAMED:
        return f"{labels.APP_ID} in ({','.join(names)})"
    return labels.APP_ID


def lists(cluster: Cluster, namespace: str, names: Sequence[str]) -> dict[str, Found]:
    """Apps by name, as they are now."""
    chosen = selector(names)
    jobs = [named(JOB, item) for item in cluster.list(JOB, namespace, chosen).items]
    jobsets = list_jobsets(cluster, namespace, chosen)
    pods = [pod for raw in cluster.list(POD, namespace, chosen).items if (pod := objects.pod_of(raw))]
    return objects.assemble(jobs, jobsets, pods, list_kept(cluster, namespace, chosen))


def list_jobsets(cluster: Cluster, namespace: str, chosen: str) -> list[dict[str, Any]]:
    """JobSets; none where the cluster has no such thing."""
    try:
        found = cluster.list(JOBSET, namespace, chosen).items
    except Refused as error:
        if error.status != _NOT_THERE:
            raise
        return []
    return [named(JOBSET, item) for item in found]


def list_kept(cluster: Cluster, namespace: str, chosen: str) -> list[Pod]:
    """What was kept of pods that are gone."""
    items = cluster.list(CONFIG_MAP, namespace, f"{chosen},{labels.KEPT}", heads=True).items
    return [pod for raw in items if (pod := objects.kept_of(raw))]


def named(kind: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its kind, which those in lists lack."""
    names = {"apiVersion": "batch/v1", "kind": "Job"}
    if kind == JOBSET:
        names = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"}
    return {**names, **raw}


class Watcher:
    """The apps of one namespace.

    Args:
        cluster: where.
        namespace: empty for the cluster's.
        names: which apps; none for all.
        changed: set when something has changed, or gone wrong.
        patience: seconds for which a cluster that answered before is waited for at first.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        names: Sequence[str],
        changed: threading.Event,
        patience: float = AWAY,
    ) -> None:
        self._cluster, self._namespace, self._patience = cluster, namespace, patience
        self._selector = selector(names)
        self._changed = changed
        self._lock = threading.Lock()
        self._there: dict[str, dict[str, Any]] = {kind: {} for kind in _WATCHED}
        self._gone: dict[str, Pod] = {}
        self._kept: dict[str, Pod] = {}
        self._expired: set[str] = set()  # apps that stay as they ended, though the cluster removes them
        self._dirty: set[str] = set()
        self._error: Exception | None = None
        self._streams = Streams()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Watcher:
        """Raises what the first lists raise."""
        steady = partial(self._cluster.steady, patience=self._patience)
        versions = {kind: steady(partial(self._list, kind)) for kind in _WATCHED}
        for pod in steady(partial(list_kept, self._cluster, self._namespace, self._selector)):
            self._kept[pod.uid] = pod
        for kind, version in versions.items():
            if version:
                follow = partial(self._follow, kind, version)
                self._threads.append(threading.Thread(target=follow, name=f"xrun-kubernetes-{kind}", daemon=True))
                self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._streams.close()
        end = time.monotonic() + _LETS_GO
        for thread in self._threads:  # one that waits for a cluster that is away ends by itself later
            thread.join(max(0.0, end - time.monotonic()))

    def take(self) -> set[str]:
        """Names of the apps of which something changed since the last call.

        Raises:
            BackendUnavailable: the cluster has been away for too long.
            BackendError: it refuses to tell.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            dirty, self._dirty = self._dirty, set()
            return dirty

    def found(self, names: Iterable[str] | None = None) -> dict[str, Found]:
        """Apps by name, as they are known; all of them without names."""
        with self._lock:
            chosen = None if names is None else set(names)

            def mine(name: str) -> bool:
                return chosen is None or name in chosen

            jobs = [job for job in self._there[JOB].values() if mine(objects.app_name(job))]
            jobsets = [head for head in self._there[JOBSET].values() if mine(objects.app_name(head))]
            pods = [pod for name, pod in self._there[POD].values() if mine(name)]
            return objects.assemble(jobs, jobsets, pods, list(self._kept.values()))

    def last(self, uid: str) -> tuple[Pod | None, bool]:
        """A pod as it was seen last, and whether it is gone."""
        with self._lock:
            if uid in self._gone:
                return self._gone[uid], True
            there = self._there[POD].get(uid)
            return (there[1], False) if there else (None, True)

    def keep(self, pod: Pod, app: str) -> None:
        """Notes that a pod was kept."""
        with self._lock:
            self._kept[pod.uid] = pod
            self._dirty.add(app)
        self._changed.set()

    # --- listening -------------------------------------------------------------------------------------------------

    def _list(self, kind: str) -> str:
        """Takes what is there for all there is; gives its version, or nothing if the cluster has no such kind."""
        try:
            listed = self._cluster.list(kind, self._namespace, self._selector)
        except Refused as error:
            if kind == JOBSET and error.status == _NOT_THERE:
                return ""
            raise
        with self._lock:
            before, self._there[kind] = self._there[kind], {}
            for raw in listed.items:
                self._put(kind, raw)
            for uid, old in before.items():
                if uid in self._there[kind]:
                    continue
                if self._name_of(kind, old) in self._expired:
                    self._there[kind][uid] = old
                else:
                    self._forget(kind, uid, old)
        self._changed.set()
        return listed.version

    def _follow(self, kind: str, version: str) -> None:
        lost, pause, stopped = 0.0, _PAUSE, self._streams.closed
        while not stopped.is_set():
            try:
                if not version:
                    version = self._list(kind)
                with self._cluster.watch(kind, self._namespace, self._selector, version, _SECONDS) as stream:
                    lost, pause = 0.0, _PAUSE
                    with self._streams.held(stream):
                        for line in stream.lines():
                            version = self._event(kind, self._cluster.event(kind, line)) or version
                            if stopped.is_set():
                                return
            except Refused as error:
                version = ""
                if error.status != _GONE:
                    self._fail(error)
                    return
            except BackendUnavailable as error:
                version = ""  # what happened meanwhile may not be told any more
                lost = lost or time.monotonic()
                if time.monotonic() - lost > AWAY:
                    self._fail(error)
                    return
                stopped.wait(pause)
                pause = min(pause * 1.5, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - raised where it is read
                self._fail(error)
                return

    def _event(self, kind: str, event: Mapping[str, Any]) -> str:
        raw = event["object"]
        if event["type"] != "BOOKMARK":
            with self._lock:
                self._take(kind, raw, event["type"] == "DELETED")
            self._changed.set()
        return str(raw["metadata"].get("resourceVersion", ""))

    def _take(self, kind: str, raw: Mapping[str, Any], deleted: bool) -> None:
        uid, name = raw["metadata"]["uid"], objects.app_name(raw)
        goes = deleted or raw["metadata"].get("deletionTimestamp")
        if goes and name in self._expired and uid in self._there[kind]:
            return
        self._put(kind, raw)
        if deleted and name not in self._expired and (old := self._there[kind].pop(uid, None)):
            self._forget(kind, uid, old)

    def _put(self, kind: str, raw: Mapping[str, Any]) -> None:
        uid, name = raw["metadata"]["uid"], objects.app_name(raw)
        self._dirty.add(name)
        if kind != POD:
            self._there[kind][uid] = named(kind, raw)
            if objects.expires(raw):
                self._expired.add(name)
        elif pod := objects.pod_of(raw):
            self._there[kind][uid] = (name, pod)

    def _forget(self, kind: str, uid: str, old: Any) -> None:
        self._dirty.add(self._name_of(kind, old))
        if kind == POD:
            self._gone[uid] = old[1]

    def _name_of(self, kind: str, there: Any) -> str:
        return str(there[0]) if kind == POD else objects.app_name(there)

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._error = error
        self._changed.set()
