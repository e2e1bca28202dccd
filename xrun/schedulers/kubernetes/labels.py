"""Keys of labels and annotations: ours, and those of others that we read."""

from __future__ import annotations

PREFIX = "xrun.dev/"
APP_ID = f"{PREFIX}app-id"
"""Label of everything of an app; the only one that is searched by."""

ROLE = f"{PREFIX}role"
HANDLE = f"{PREFIX}handle"
NAME = f"{PREFIX}name"
USER = f"{PREFIX}user"
REQUEST_ID = f"{PREFIX}request-id"
SPEC_HASH = f"{PREFIX}spec-hash"
VERSION = f"{PREFIX}version"
SPEC = f"{PREFIX}spec"
OPTIONS = f"{PREFIX}options"
SUBMISSION = f"{PREFIX}submission"
CANCELLED = f"{PREFIX}cancelled"
"""Annotation of an app that was cancelled: when, Unix seconds."""

KEPT = f"{PREFIX}kept"
"""Label of a ConfigMap that holds what a removed pod wrote; annotation: how it ended, as JSON."""

WORKSPACE = f"{PREFIX}workspace"
"""Label of a ConfigMap that holds a workspace: its hash."""

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED = "batch.kubernetes.io/job-index-ignored-failure-count"
"""Annotations of a pod: how many of its index failed before, of those that count and of those that don't."""

JOB_NAME = "batch.kubernetes.io/job-name"
RESTART = "jobset.sigs.k8s.io/restart-attempt"
REPLICATED_JOB = "jobset.sigs.k8s.io/replicatedjob-name"

QUEUE = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
TOPOLOGY_REQUIRED = "kueue.x-k8s.io/podset-required-topology"
TOPOLOGY_PREFERRED = "kueue.x-k8s.io/podset-preferred-topology"
KUEUE_JOB = "kueue.x-k8s.io/job-uid"
