"""Slurm's words for states and reasons, in the contract's."""

from __future__ import annotations

from xrun.specs.states import AppState

STATES = {
    "PENDING": AppState.PENDING,
    "CONFIGURING": AppState.PENDING,
    "REQUEUED": AppState.PENDING,
    "REQUEUE_FED": AppState.PENDING,
    "REQUEUE_HOLD": AppState.PENDING,
    "RESV_DEL_HOLD": AppState.PENDING,
    "SPECIAL_EXIT": AppState.PENDING,
    "POWER_UP_NODE": AppState.PENDING,
    "EXPEDITING": AppState.PENDING,
    "RUNNING": AppState.RUNNING,
    "SUSPENDED": AppState.RUNNING,
    "STOPPED": AppState.RUNNING,
    "SIGNALING": AppState.RUNNING,
    "RESIZING": AppState.RUNNING,
    "COMPLETING": AppState.RUNNING,
    "STAGE_OUT": AppState.RUNNING,
    "COMPLETED": AppState.SUCCEEDED,
    "CANCELLED": AppState.CANCELLED,
    "REVOKED": AppState.CANCELLED,
    "FAILED": AppState.FAILED,
    "BOOT_FAIL": AppState.FAILED,
    "DEADLINE": AppState.FAILED,
    "LAUNCH_FAILED": AppState.FAILED,
    "NODE_FAIL": AppState.FAILED,
    "OUT_OF_MEMORY": AppState.FAILED,
    "PREEMPTED": AppState.FAILED,
    "RECONFIG_FAIL": AppState.FAILED,
    "TIMEOUT": AppState.FAILED,
}
"""Slurm's state -> AppState; a job that is to be requeued after one of the last shows PENDING soon."""

ENDS = {
    "BOOT_FAIL": "a node could not be started",
    "DEADLINE": "its deadline has come",
    "LAUNCH_FAILED": "it could not be started",
    "NODE_FAIL": "a node was lost, and it may not be requeued",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "PREEMPTED": "another job took its place, and it may not be requeued",
    "RECONFIG_FAIL": "a node could not be configured",
    "TIMEOUT": "stopped at Slurm's time limit",
}
"""How a job ended, in words."""

REASONS = {
    "Priority": "jobs with a higher priority are before it",
    "Resources": "until there are free nodes",
    "Dependency": "for other jobs",
    "DependencyNeverSatisfied": "for a job that did not end as asked; cancel it",
    "BeginTime": "for its begin; a requeued job waits for a while",
    "JobHeldUser": "its owner holds it; scontrol release lets it go",
    "JobHeldAdmin": "the administrator holds it",
    "Licenses": "for licenses",
    "Reservation": "for its reservation",
    "ReqNodeNotAvail": "a node that it asks for is down, drained or reserved",
    "PartitionDown": "the partition is down",
    "PartitionNodeLimit": "it asks for more nodes than the partition allows; cancel it",
    "PartitionTimeLimit": "it asks for more time than the partition allows; cancel it",
    "AssocGrpCpuLimit": "the account's jobs use all CPUs that it may have",
    "AssocMaxJobsLimit": "as many jobs run as the account may have",
    "QOSMaxJobsPerUserLimit": "as many jobs run as a user may have in this QOS",
    "QOSMaxCpuPerUserLimit": "its owner's jobs use all CPUs that this QOS allows",
    "QOSGrpNodeLimit": "jobs of this QOS use all nodes that it allows",
    "Prolog": "while its nodes are prepared",
    "NodeDown": "a node that it needs is down",
    "job requeued in held state": "it was put back and is held; scontrol release lets it go",
    "launch failed requeued held": "it could not be started, and is held; scontrol release lets it go",
}
"""Why a job waits -> in words."""


def state_of(word: str) -> AppState:
    """Slurm's word for a state as AppState."""
    return STATES.get(word, AppState.UNKNOWN)


def waiting_for(reason: str) -> str:
    """Why a job waits, with Slurm's own word, which the cluster's pages explain."""
    name = reason.partition(",")[0].strip("()")
    if not name:
        return ""
    words = REASONS.get(name)
    return f"waits: {words} ({name})" if words else f"waits: {reason}"
