"""Overlays are merged as ``kubectl patch`` does."""

from __future__ import annotations

import copy
import json
import subprocess
from typing import Any

import pytest

from tests.systems.kube import programs
from xrun.errors import InvalidValue
from xrun.schedulers.kubernetes.overlay import merge

POD: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "main",
                "image": "image:1",
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
                "command": ["sh"],
            }
        ],
        "tolerations": [{"key": "a"}],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    },
}

PATCHES: dict[str, dict[str, Any]] = {
    "a field": {"spec": {"hostNetwork": True}},
    "a label": {"metadata": {"labels": {"b": "2"}}},
    "a container's field": {"spec": {"containers": [{"name": "main", "tty": True}]}},
    "another container": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}},
    "a variable": {"spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "3"}]}]}},
    "a command": {"spec": {"containers": [{"name": "main", "command": ["bash", "-l"]}]}},
    "a mount": {"spec": {"containers": [{"name": "main", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}]}},
    "a toleration": {"spec": {"tolerations": [{"key": "b"}]}},
    "nothing": {"spec": {"tolerations": None}},
    "a deletion": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "$patch": "delete"}]}]}},
    "a replacement": {"spec": {"volumes": [{"$patch": "replace"}, {"name": "v", "emptyDir": {}}]}},
    "deep": {"spec": {"affinity": {"nodeAffinity": {"x": None}}, "securityContext": {"runAsUser": 5}}},
}


def ordered(value: Any) -> Any:
    """Lists that are merged by name have no order that matters."""
    if isinstance(value, dict):
        return {k: ordered(v) for k, v in value.items()}
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        return sorted((ordered(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    return value


@pytest.mark.parametrize("what", list(PATCHES))
def test_what_a_patch_makes(what: str) -> None:
    before = copy.deepcopy((POD, PATCHES[what]))
    made = merge(POD, PATCHES[what])
    assert (POD, PATCHES[what]) == before
    kubectl = programs.find("kubectl") if not programs.lacking() else ""
    if not kubectl:
        pytest.skip("kubectl isn't here")
    whole = {"apiVersion": "v1", "kind": "Pod", **POD, "metadata": {"name": "p", **POD["metadata"]}}
    words = [kubectl, "patch", "--local", "--filename=-", "--type=strategic", "--output=json", "--patch"]
    done = subprocess.run(
        [*words, json.dumps(PATCHES[what])], input=json.dumps(whole), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    del theirs["metadata"]["name"]
    found = ordered({"metadata": theirs["metadata"], "spec": _full(theirs["spec"])})
    assert ordered({"metadata": made["metadata"], "spec": _full(made["spec"])}) == found


def _full(spec: Any) -> Any:
    """Without what one side leaves out and the other has empty."""
    if isinstance(spec, dict):
        return {k: inner for k, v in spec.items() if (inner := _full(v)) not in ({}, [], None) or k == "emptyDir"}
    return [_full(v) for v in spec] if isinstance(spec, list) else spec


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"spec": {"containers": [{"image": "x"}]}}, "has no name"),
        ({"spec": {"containers": [{"name": ["a"]}]}}, "has not one name"),
        ({"spec": {"containers": [{"name": {}}]}}, "has not one name"),
        ({"spec": {"containers": "main"}}, "containers is a list"),
        ({"spec": ["a"]}, "spec is a mapping"),
        ({"spec": {"restartPolicy": {"a": 1}}}, "restartPolicy is a single value"),
        ({"spec": {"$patch": "merge"}}, r"\$patch"),
        ({"spec": {1: 2}}, "no text"),
    ],
)
def test_patches_that_make_no_sense(patch: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        merge(POD, patch)
