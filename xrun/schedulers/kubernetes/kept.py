"""What pods that are removed wrote and how they ended, kept in ConfigMaps that belong to their app."""

from __future__ import annotations

import base64
import heapq
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.client import CONFIG_MAP, Cluster, Refused
from xrun.schedulers.kubernetes.job import owner
from xrun.schedulers.kubernetes.lines import Line, parse
from xrun.schedulers.kubernetes.objects import Pod

MOST_BYTES = 4 << 20
"""Bytes of the end of a log that are kept at most."""

_STORED = 700 * 1024  # of those, compressed
_CONFLICT = 409


def name_of(pod: Pod) -> str:
    """The ConfigMap of a pod."""
    return f"xrun-kept-{pod.uid}"


def lines(cluster: Cluster, namespace: str, pod: Pod, container: str = "") -> Iterator[Line]:
    """The log of a pod that was kept, of one container or all."""
    try:
        found = cluster.get("read a kept log", cluster.path(CONFIG_MAP, namespace, name_of(pod)))
        there = found.get("binaryData") or {}
        logs = [
            zlib.decompress(base64.b64decode(there[c])) for c in pod.containers if c in there and container in ("", c)
        ]
    except (Refused, ValueError, zlib.error):
        return
    yield from heapq.merge(*(parse([log]) for log in logs), key=lambda line: line.time)


def save(cluster: Cluster, namespace: str, head: Mapping[str, Any], pod: Pod, logs: Mapping[str, bytes]) -> None:
    """Keeps a pod; whoever does so first wins.

    Args:
        cluster: where.
        namespace: empty for the cluster's.
        head: the app's own object.
        pod: how the pod was last.
        logs: the end of what each container wrote, with times.
    """
    logs = {name: log for name, log in logs.items() if log}
    data = {name: zlib.compress(log, 6) for name, log in logs.items()}
    while sum(map(len, data.values())) > _STORED:  # half of the largest is enough less, or the next half
        most = max(data, key=lambda name: len(data[name]))
        logs[most] = logs[most][len(logs[most]) // 2 :].partition(b"\n")[2]
        data[most] = zlib.compress(logs[most], 6)
    fields = pod._replace(owner=head["metadata"]["uid"], containers=list(pod.containers))._asdict()
    meta: dict[str, Any] = {
        "name": name_of(pod),
        "labels": {labels.APP_ID: head["metadata"]["labels"][labels.APP_ID], labels.KEPT: "pod"},
        "annotations": {labels.KEPT: json.dumps(fields, separators=(",", ":"))},
        "ownerReferences": [owner(head)],
    }
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True}
    if data:
        body["binaryData"] = {name: base64.b64encode(packed).decode() for name, packed in data.items()}
    try:
        cluster.create("keep a log", cluster.path(CONFIG_MAP, namespace), body)
    except Refused as error:
        if error.status != _CONFLICT:
            raise
