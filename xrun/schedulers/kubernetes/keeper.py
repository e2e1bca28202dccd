"""Reads the logs of pods that are about to be removed, to their end, and keeps them.

Kubernetes removes pods, and their logs with them, when it stops or restarts an app: those of a gang of which one
failed, those of a JobSet's earlier attempt, those of a suspended app. So whoever cancels, waits for or follows an app
keeps what such pods wrote last. Nothing of this decides anything: without it their logs and exit codes are gone.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from xrun.errors import XrunError
from xrun.schedulers.kubernetes import kept, objects, states
from xrun.schedulers.kubernetes.client import Cluster
from xrun.schedulers.kubernetes.lines import Position
from xrun.schedulers.kubernetes.logs import Part, resumed
from xrun.schedulers.kubernetes.objects import Found, Pod
from xrun.schedulers.kubernetes.watching import Watcher
from xrun.schedulers.logs import LogQuery
from xrun.schedulers.streams import Streams

MOST = 64
"""Pods of an app that are kept; a thousand that are stopped at once would be more than a cluster should hold."""

_SHOWS_END = 5.0  # seconds that a pod has to show how it ended, after the end of its log
_BEFORE = 2.0  # seconds before the time limit


class Keeper:
    """Keeps pods of the apps of one namespace.

    Args:
        cluster: where.
        namespace: empty for the cluster's.
        watcher: what is known of the apps.
    """

    def __init__(self, cluster: Cluster, namespace: str, watcher: Watcher) -> None:
        self._cluster, self._namespace, self._watcher = cluster, namespace, watcher
        self._threads: dict[str, dict[str, threading.Thread]] = {}  # app -> pod's uid -> who keeps it
        self._streams = Streams()

    def look(self, found: Found, *, everything: bool = False) -> None:
        """Begins to keep the pods of an app that are about to be removed.

        Args:
            found: the app.
            everything: all that run are.
        """
        mine = self._threads.setdefault(found.name, {})
        known = {pod.uid for pod in found.kept} | mine.keys()
        for pod in states.active(found) if everything else doomed(found):
            if pod.uid not in known and len(mine) < MOST:
                mine[pod.uid] = threading.Thread(
                    target=self._keep, args=(found, pod), name="xrun-kubernetes-keep", daemon=True
                )
                mine[pod.uid].start()

    def due(self, found: Found) -> float:
        """Unix time from which on an app must be looked at, since its time limit ends it; infinite for never."""
        return deadline(found) - _BEFORE if not self._threads.get(found.name) else float("inf")

    def finish(self, name: str, seconds: float = 15.0) -> None:
        """Waits until the pods of an app that are being kept are."""
        end = time.monotonic() + seconds
        for thread in self._threads.get(name, {}).values():
            thread.join(max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """Gives up what is not kept yet."""
        self._streams.close()

    def _keep(self, found: Found, pod: Pod) -> None:
        try:
            # those that are started anew end with the pod, when the others' logs may be about to go
            names = sorted(pod.containers, key=lambda name: name in pod.restarts)
            logs = {name: self._end_of_log(Part(pod, name, False, self._namespace)) for name in names}
            last = self._end_of(pod)
            if self._streams.closed.is_set():
                return  # a part of a log would be in the way of one who reads it to its end
            kept.save(self._cluster, self._namespace, found.head, last, logs)
            self._watcher.keep(last._replace(owner=found.head["metadata"]["uid"]), found.name)
        except XrunError:
            return  # who may not keep logs, or can't reach the cluster, has the app's state all the same

    def _end_of_log(self, part: Part) -> bytes:
        log: deque[bytes] = deque()
        size = 0
        for line in resumed(self._cluster, part, LogQuery(), Position(), self._streams):
            stamp = b"" if not line.begins else f"{_stamp(line.second, line.time)} ".encode()
            log.append(stamp + line.data)
            size += len(log[-1])
            while size > kept.MOST_BYTES and len(log) > 1:
                size -= len(log.popleft())
        return b"".join(log)

    def _end_of(self, pod: Pod) -> Pod:
        """The pod as it is last, which the API shows a little after its log has ended."""
        end = time.monotonic() + _SHOWS_END
        while True:
            last, is_gone = self._watcher.last(pod.uid)
            if last is not None and (last.ended or last.over):
                return last
            if is_gone or time.monotonic() > end or self._streams.closed.wait(0.05):
                return last or pod


def doomed(found: Found) -> list[Pod]:
    """Pods that Kubernetes is about to remove, or has begun to."""
    status = found.head.get("status") or {}
    policy = ((found.head.get("spec") or {}).get("failurePolicy")) or {}
    restart = int(status.get("restarts") or 0)
    now = [pod for pod in found.pods if not found.is_jobset or pod.restart >= restart]
    lost = [pod for pod in now if pod.phase == "Failed"] if found.is_jobset else _final_losses(found)
    late = time.time() > deadline(found) - _BEFORE
    ending = lost or late or found.condition("FailureTarget", "Failed", "SuccessCriteriaMet", "Completed")
    again = found.is_jobset and lost and restart < int(policy.get("maxRestarts") or 0)
    return [
        pod
        for pod in found.pods
        if (pod.started or pod.ended)
        and (pod.stopped or again or (ending and not pod.over) or (found.is_jobset and pod.restart < restart))
    ]


def deadline(found: Found) -> float:
    """Unix time at which Kubernetes stops an app for its time limit; infinite if it has none."""
    ends = [
        objects.seconds(began) + float(limit)
        for job in found.jobs
        if (limit := job["spec"].get("activeDeadlineSeconds")) and (began := (job.get("status") or {}).get("startTime"))
    ]
    return min(ends, default=float("inf"))


def _final_losses(found: Found) -> list[Pod]:
    """Pods after which a Job has no attempt left."""
    spec = found.head.get("spec") or {}
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or []
    limit = 0 if any(r.get("action") == "FailIndex" for r in rules) else int(spec.get("backoffLimitPerIndex") or 0)
    failed = [pod for pod in found.pods if pod.phase == "Failed" and not pod.taken and not pod.stopped]
    lost = [pod for pod in failed if pod.own >= limit]
    return lost if len(lost) > int(spec.get("maxFailedIndexes") or 0) else []


def _stamp(second: int, moment: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{whole}.{min(round((moment - second) * 1e9), 999_999_999):09d}Z"
