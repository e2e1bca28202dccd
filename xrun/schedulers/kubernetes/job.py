"""An Indexed Job of ``batch/v1``, as an app or as a part of a JobSet; and the service that names its pods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.model import Group, Plan
from xrun.schedulers.kubernetes.pod import STOPPED

_TAKEN_AWAY = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
_FAILED = {"onExitCodes": {"operator": "NotIn", "values": [0]}}
_KILLED = 137

MOST_TAKEN = 1000
"""How often the cluster may take away a replica that has no retries of its own."""


def job(plan: Plan, meta: dict[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The object of an app that is one Job."""
    spec = job_spec(plan, plan.groups[0], template)
    if plan.options.ttl >= 0:
        spec["ttlSecondsAfterFinished"] = plan.options.ttl
    if plan.options.queue:
        spec["suspend"] = True  # until Kueue lets it begin
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def job_spec(plan: Plan, group: Group, template: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a Job, as a JobSet's parts have it too."""
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": group.replicas,
        "parallelism": group.replicas,
        "backoffLimitPerIndex": 0 if group.in_place else MOST_TAKEN if group.counts_taken else group.retries,
        "maxFailedIndexes": group.tolerated,
        "podReplacementPolicy": "Failed",  # so that an index has one pod at a time
        "podFailurePolicy": {"rules": _rules(group)},
    }
    if plan.options.max_runtime > 0:
        spec["activeDeadlineSeconds"] = math.ceil(plan.options.max_runtime)
    return {**spec, "template": template}


def service(plan: Plan, shared: Mapping[str, str]) -> dict[str, Any]:
    """The headless service by which the pods of a Job find each other, before they are ready too."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plan.name, "labels": {**plan.options.labels, **shared}},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": dict(shared)},
    }


def _rules(group: Group) -> list[dict[str, Any]]:
    if group.counts_taken:  # then what Kubernetes counts is the attempts
        return [{"action": "Count", **_TAKEN_AWAY}, {"action": "FailIndex", **_FAILED}]
    rules: list[dict[str, Any]] = [{"action": "Ignore" if group.replaced else "FailJob", **_TAKEN_AWAY}]
    if group.in_place:
        # the shell that keeps failures in was killed from outside, for its memory mostly, or its pod deleted
        rules.append({"action": "Ignore", "onExitCodes": {"operator": "In", "values": [_KILLED, STOPPED]}})
    return rules


def owner(head: Mapping[str, Any]) -> dict[str, Any]:
    """What an object is marked with that goes when the app's own object goes."""
    meta = head["metadata"]
    return {"apiVersion": head["apiVersion"], "kind": head["kind"], "name": meta["name"], "uid": meta["uid"]}


def queue_labels(plan: Plan) -> dict[str, str]:
    """Kueue's labels of an app's object."""
    asked = {labels.QUEUE: plan.options.queue, labels.QUEUE_PRIORITY: plan.options.queue_priority}
    return {key: value for key, value in asked.items() if value}
