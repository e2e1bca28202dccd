"""A JobSet of ``jobset.x-k8s.io/v1alpha2``: several roles, and restarts of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xrun.schedulers.kubernetes.job import job_spec
from xrun.schedulers.kubernetes.model import Plan


def jobset(
    plan: Plan, meta: dict[str, Any], templates: Sequence[Mapping[str, Any]], shared: Mapping[str, str]
) -> dict[str, Any]:
    """The object of an app that is a JobSet."""
    parts = [
        {
            "name": group.name,
            "replicas": 1,
            "template": {"metadata": {"labels": dict(shared)}, "spec": job_spec(plan, group, template)},
        }
        for group, template in zip(plan.groups, templates, strict=True)
    ]
    spec: dict[str, Any] = {
        # as they are by default, but visible: hosts are named APP-ROLE-0-INDEX.APP
        "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
        "successPolicy": {
            "operator": "All",
            "targetReplicatedJobs": [group.name for group in plan.groups if group.role.primary],
        },
        "failurePolicy": _failure_policy(plan),
        "replicatedJobs": parts,
    }
    if plan.options.ttl >= 0:
        spec["ttlSecondsAfterFinished"] = plan.options.ttl
    if plan.options.queue:
        spec["suspend"] = True  # until Kueue lets it begin
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": meta, "spec": spec}


def _failure_policy(plan: Plan) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    if not all(group.replaced for group in plan.groups):
        reasons = {"onJobFailureReasons": ["PodFailurePolicy"]}
        rules.append({"name": "takenAway", "action": "RestartJobSetAndIgnoreMaxRestarts", **reasons})
    if plan.max_restarts:
        rules.append({"name": "maxRuntime", "action": "FailJobSet", "onJobFailureReasons": ["DeadlineExceeded"]})
        last = [group.name for group in plan.groups if group.role.primary and not group.role.max_retries]
        if last:
            rules.append({"name": "noRetries", "action": "FailJobSet", "targetReplicatedJobs": last})
    policy: dict[str, Any] = {"maxRestarts": plan.max_restarts, "restartStrategy": "BlockingRecreate"}
    return {**policy, "rules": rules} if rules else policy
