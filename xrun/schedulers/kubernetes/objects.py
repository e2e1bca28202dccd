"""What a cluster has of apps: raw objects as what we need of them, each app's together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.pod import CONTAINER

ENDED = ("Succeeded", "Failed")
"""Phases of a pod that has ended."""

USUAL = ("ContainerCreating", "PodInitializing")
"""Why a container waits that nothing is wrong with."""


class Pod(NamedTuple):
    """One attempt of a replica.

    Attributes:
        name: the pod's name.
        uid: its id.
        owner: the id of its Job.
        role: the role's name.
        replica: its number.
        restart: restarts of everything before it.
        own: restarts of this replica alone before it.
        phase: Kubernetes' word for where it is.
        node: where it runs.
        created: Unix time, as the others.
        started: when its program began.
        ended: when that ended; 0 while it runs.
        code: the exit code.
        reason: why it waits, ended or was ended, in Kubernetes' word.
        message: more about that, or what the program left.
        culprit: what this is about, if not the program's container: another one, or why the pod was ended.
        stopped: since when it is to go; 0 if it isn't.
        containers: names of its containers, in the order in which they begin.
        finished: names of containers that have ended for good.
        restarts: for each container that is started anew when it ends: how often it was.
        taken: whether the cluster takes it away: its node is lost or drained, or others need the room.
    """

    name: str
    uid: str
    owner: str
    role: str
    replica: int
    restart: int
    own: int
    phase: str
    node: str
    created: float
    started: float = 0.0
    ended: float = 0.0
    code: int | None = None
    reason: str = ""
    message: str = ""
    culprit: str = ""
    stopped: float = 0.0
    containers: Sequence[str] = (CONTAINER,)
    finished: Sequence[str] = ()
    restarts: Mapping[str, int] = {}
    taken: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.phase in ENDED

    @property
    def attempt(self) -> int:
        """Its number among the replica's attempts."""
        return self.restart + self.own

    @property
    def order(self) -> tuple[int, float]:
        """A later attempt is greater."""
        return self.attempt, self.created


class Found(NamedTuple):
    """One app.

    Attributes:
        head: its own object.
        jobs: its Jobs: the head, or those of a JobSet.
        pods: its pods.
        kept: pods that are gone, as they were last.
    """

    head: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    pods: Sequence[Pod]
    kept: Sequence[Pod]

    @property
    def name(self) -> str:
        """What its object is called."""
        return str(self.head["metadata"]["name"])

    @property
    def is_jobset(self) -> bool:
        """Whether it is one."""
        return self.head.get("kind") == "JobSet"

    @property
    def notes(self) -> Mapping[str, str]:
        """Annotations of its object."""
        return self.head["metadata"].get("annotations") or {}

    @property
    def attempts(self) -> list[Pod]:
        """Every attempt of every replica, there or kept."""
        there = {pod.uid for pod in self.pods}
        return [*self.pods, *(pod for pod in self.kept if pod.uid not in there)]

    def latest(self) -> dict[tuple[str, int], Pod]:
        """The last attempt of each replica."""
        last: dict[tuple[str, int], Pod] = {}
        for pod in self.attempts:
            key = (pod.role, pod.replica)
            if key not in last or pod.order > last[key].order:
                last[key] = pod
        return last

    def condition(self, *names: str) -> Mapping[str, Any] | None:
        """A condition of its object that is true."""
        return condition(self.head, *names)


def condition(thing: Mapping[str, Any], *names: str) -> Mapping[str, Any] | None:
    """The first of some conditions that is true of an object."""
    there = {c["type"]: c for c in (thing.get("status") or {}).get("conditions") or [] if c.get("status") == "True"}
    return next((there[name] for name in names if name in there), None)


def expires(head: Mapping[str, Any]) -> bool:
    """Whether an app has ended that the cluster itself removes some time after that."""
    limited = (head.get("spec") or {}).get("ttlSecondsAfterFinished") is not None
    return limited and condition(head, "Complete", "Completed", "Failed") is not None


def assemble(
    jobs: Iterable[Mapping[str, Any]],
    jobsets: Iterable[Mapping[str, Any]],
    pods: Iterable[Pod],
    kept: Iterable[Pod],
) -> dict[str, Found]:
    """The apps in lists of objects, by name of their object; what belongs to none is passed over."""
    heads: dict[str, Mapping[str, Any]] = {head["metadata"]["uid"]: head for head in jobsets}
    parts: dict[str, list[Mapping[str, Any]]] = {uid: [] for uid in heads}
    of_job: dict[str, str] = {}
    for job in jobs:
        uid, above = job["metadata"]["uid"], owner_of(job)
        if above and above not in heads:
            continue
        if not above:
            heads[uid] = job
        parts.setdefault(above or uid, []).append(job)
        of_job[uid] = above or uid
    theirs: dict[str, list[Pod]] = {uid: [] for uid in heads}
    gone: dict[str, list[Pod]] = {uid: [] for uid in heads}
    for pod in pods:
        if pod.owner in of_job:
            theirs[of_job[pod.owner]].append(pod)
    for pod in kept:
        if pod.owner in gone:
            gone[pod.owner].append(pod)
    return {
        head["metadata"]["name"]: Found(head, parts[uid], theirs[uid], gone[uid])
        for uid, head in heads.items()
        if not head["metadata"].get("deletionTimestamp") or expires(head)
    }


def app_name(thing: Mapping[str, Any]) -> str:
    """The name of the app that an object belongs to."""
    return str((thing["metadata"].get("labels") or {}).get(labels.APP_ID, ""))


def owner_of(thing: Mapping[str, Any]) -> str:
    """The id of an object's controller; empty if it has none."""
    owners = thing["metadata"].get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def pod_of(raw: Mapping[str, Any]) -> Pod | None:
    """What we need of a pod; None if it isn't one of ours."""
    meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    marks, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    try:
        index = int(notes.get(labels.INDEX, marks.get(labels.INDEX, "")))
        restart = int(notes.get(labels.RESTART) or 0)
        own = int(notes.get(labels.FAILURES) or 0) + int(notes.get(labels.IGNORED) or 0)
    except ValueError:
        return None
    if labels.ROLE not in marks:
        return None
    return _with_status(
        Pod(
            name=meta["name"],
            uid=meta["uid"],
            owner=owner_of(raw),
            role=marks[labels.ROLE],
            replica=index,
            restart=restart,
            own=own,
            phase=status.get("phase", "Unknown"),
            node=spec.get("nodeName", ""),
            created=seconds(meta.get("creationTimestamp")),
            stopped=seconds(meta.get("deletionTimestamp")),
            containers=[c["name"] for c in (*spec.get("initContainers", ()), *spec.get("containers", ()))],
            **_of_containers(spec, status),
            taken=condition(raw, "DisruptionTarget") is not None,
        ),
        status,
    )


def _of_containers(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    again = {c["name"] for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"}
    there = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {
        "finished": [c["name"] for c in there if c["name"] not in again and "terminated" in (c.get("state") or {})],
        "restarts": {c["name"]: int(c.get("restartCount") or 0) for c in there if c["name"] in again},
    }


def _with_status(pod: Pod, status: Mapping[str, Any]) -> Pod:
    states = {c["name"]: c for c in status.get("containerStatuses") or []}
    first = {c["name"]: c for c in status.get("initContainerStatuses") or []}
    main = states.get(CONTAINER, {})
    for name, c in first.items():  # one that fails, or waits for its image, keeps the program from starting
        ended = (c.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode") and name not in pod.restarts:
            return _ended(pod, ended)._replace(culprit=name)
    state = main.get("state") or {}
    if "terminated" in state:
        pod = _of_program(pod, state["terminated"], states)
        if pod.phase == "Failed" and status.get("reason"):  # the kubelet ended it, as for its disk space
            pod = pod._replace(culprit=status["reason"], message=" ".join(str(status.get("message") or "").split()))
        return pod
    waits = [w for c in (*first.values(), *states.values()) if (w := (c.get("state") or {}).get("waiting"))]
    waiting: Mapping[str, str] = next((w for w in waits if w.get("reason") not in USUAL), {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if "running" in state:
        return pod._replace(started=seconds(state["running"].get("startedAt")), reason=reason, message=message)
    if status.get("reason") and pod.phase != "Pending":
        reason, message = status["reason"], status.get("message", "")
    unscheduled = [c for c in status.get("conditions") or [] if c["type"] == "PodScheduled" and c["status"] == "False"]
    if unscheduled and pod.phase == "Pending":
        reason, message = unscheduled[0].get("reason", ""), unscheduled[0].get("message", "")
    return pod._replace(reason=reason, message=message)


def _of_program(pod: Pod, end: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> Pod:
    """How the program ended, or what failed the pod beside one that is done."""
    if pod.phase == "Failed" and end.get("exitCode") == 0:
        for name, c in states.items():
            beside = (c.get("state") or {}).get("terminated") or {}
            if beside.get("exitCode"):
                return _ended(pod, beside)._replace(culprit=name)
    return _ended(pod, end)


def _ended(pod: Pod, state: Mapping[str, Any]) -> Pod:
    return pod._replace(
        started=seconds(state.get("startedAt")),
        ended=seconds(state.get("finishedAt")),
        code=state.get("exitCode"),
        reason=state.get("reason", ""),
        message=(state.get("message") or "").rstrip("\n"),
    )


def kept_of(raw: Mapping[str, Any]) -> Pod | None:
    """The pod that a ConfigMap was kept of; None if that is damaged."""
    try:
        fields = json.loads((raw["metadata"].get("annotations") or {})[labels.KEPT])
        return Pod(**fields)
    except (KeyError, TypeError, ValueError):
        return None


def seconds(stamp: str | None) -> float:
    """Unix time of a time as the API has it; 0 for none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0
