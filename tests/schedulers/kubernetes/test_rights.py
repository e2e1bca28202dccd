"""What xrun needs to be allowed, and what the shipped manifest allows."""

from __future__ import annotations

from pathlib import Path

import yaml

from xrun.schedulers.kubernetes import rights


def granted() -> set[tuple[str, str, str]]:
    (role,) = [
        document for document in yaml.safe_load_all(Path(rights.manifest()).read_text()) if document["kind"] == "Role"
    ]
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_manifest_grants_what_is_needed_and_nothing_else() -> None:
    assert granted() == {tuple(right) for right in rights.needed()}


def test_no_secret_can_be_read() -> None:
    assert {verb for verb, _, resource in granted() if resource == "secrets"} == {"create"}


def test_what_a_cluster_lacks_needs_no_right() -> None:
    groups = {right.group for right in rights.needed(without=frozenset({rights.JOBSET_GROUP, rights.KUEUE_GROUP}))}
    assert groups == {"", "batch"}
