"""App ids that are legal everywhere, and hashes that tell jobs apart in any process."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.specs import jobs
from xrun.specs.app import AppDef, clone
from xrun.specs.identity import MAX_APP_ID, make_app_id, new_request_id, rendezvous_port, spec_hash
from xrun.specs.mounts import BindMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.workspace import Workspace

LEGAL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_any_text = st.text(st.characters()) | st.sampled_from(jobs.HOSTILE)


@given(_any_text, _any_text)
def test_any_name_gives_a_legal_id(name: str, request_id: str) -> None:
    app_id = make_app_id(name, request_id)

    assert LEGAL.fullmatch(app_id)
    assert len(app_id) <= MAX_APP_ID == 40
    assert app_id == make_app_id(name, request_id)


def test_lone_surrogates_make_an_id_too() -> None:
    assert LEGAL.fullmatch(make_app_id("\ud800\udcff", "\udcff"))


@pytest.mark.parametrize("name", ["train", "a", "my-job", "x1--y", "a" * 34])
def test_a_legal_name_is_kept(name: str) -> None:
    assert re.fullmatch(re.escape(name) + "-[a-z0-9]{5}", make_app_id(name, "r"))


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("My Job", "my-job-"),
        ("1st", "app-1st-"),
        ("---", "app-"),
        ("日本", "app-"),
        ("train/llama_7B", "train-llama-7b-"),
        ("a" * 35, "a" * 29 + "-"),
        ("train\n", "train-"),
        ("-train-", "train-"),
    ],
)
def test_another_is_shortened_and_hashed(name: str, begin: str) -> None:
    assert re.fullmatch(re.escape(begin) + "[a-z0-9]{4}-[a-z0-9]{5}", make_app_id(name, "r"))


def test_names_that_look_alike_stay_apart() -> None:
    names = [
        "my-job",
        "My Job",
        "my job",
        "MY-JOB",
        "my-job-",
        "my_job",
        "my-job\n",
        "b" * 35,
        "b" * 36,
        "日本",
        "本日",
    ]

    assert len({make_app_id(name, "r")[:-6] for name in names}) == len(names)


def test_another_request_gives_another_id() -> None:
    ids = {make_app_id("train", str(number)) for number in range(2000)}

    assert len(ids) >= 1999  # 36**5 of them: two of 2000 alike in 3 of 100 runs, and these never change
    assert all(app_id.startswith("train-") for app_id in ids)


def test_request_ids_are_128_random_bits() -> None:
    found = {new_request_id() for _ in range(100)}

    assert len(found) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in found)


@given(st.text())
def test_the_rendezvous_port_follows_from_the_id(app_id: str) -> None:
    assert 20000 <= rendezvous_port(app_id) <= 29999
    assert rendezvous_port(app_id) == rendezvous_port(app_id)


def test_rendezvous_ports_spread() -> None:
    assert len({rendezvous_port(f"train-{n}") for n in range(1000)}) > 900


class Colour(Enum):
    RED = "red"


OPTIONS: dict[str, Any] = {
    "tags": {"b", "a", "c", "d"},
    "frozen": frozenset("xyz"),
    "where": Path("/tmp"),
    "colour": Colour.RED,
    "runtime": 0.5,
    "none": None,
    "nested": {"x": [1, (2, 3)]},
}
_HASH = "from tests.specs import jobs, test_identity as t; print(t.spec_hash(jobs.full(), t.OPTIONS))"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_hash_is_the_same_in_another_process(seed: str) -> None:
    env = {**os.environ, "PYTHONHASHSEED": seed}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _HASH], env=env, cwd=root, check=True, capture_output=True, text=True)

    assert done.stdout.strip() == spec_hash(jobs.full(), OPTIONS)


def test_equal_jobs_have_one_hash_whatever_the_order() -> None:
    one = AppDef("a", [Role("r", env={"A": "1", "B": "2"}, resource=Resource(cpu=2))], {"x": "1", "y": "2"})
    two = AppDef("a", [Role("r", env={"B": "2", "A": "1"}, resource=Resource(cpu=2.0))], {"y": "2", "x": "1"})

    assert one == two
    assert spec_hash(clone(one), {"a": 1, "b": 2}) == spec_hash(clone(two), {"b": 2, "a": 1})


CHANGES: dict[str, Any] = {
    "name": "other",
    "image": "i",
    "entrypoint": "sh",
    "args": ["x"],
    "env": {"A": "b"},
    "num_replicas": 9,
    "min_replicas": 1,
    "max_retries": 9,
    "retry_policy": RetryPolicy.ROLE,
    "resource": Resource(cpu=9),
    "port_map": {"a": 1},
    "mounts": [BindMount("/a", "/b")],
    "metadata": {"a": {"b": 1}},
    "workspace": Workspace({"/a": ""}),
    "secrets": {"A": "env:B"},
    "primary": False,
}


@pytest.mark.parametrize("name", [f.name for f in fields(Role)])
def test_any_field_of_a_role_changes_the_hash(name: str) -> None:
    job = AppDef("a", [Role("r")])
    before = spec_hash(job, {})
    setattr(job.roles[0], name, CHANGES[name])

    assert spec_hash(job, {}) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda job: setattr(job, "name", "b"),
        lambda job: job.metadata.update(x="y"),
        lambda job: job.roles.reverse(),
        lambda job: job.roles.pop(),
        lambda job: setattr(job.roles[0].resource, "cpu", 1.25),
        lambda job: job.roles[0].resource.devices.update(efa=5),
        lambda job: job.roles[0].args.reverse(),
        lambda job: setattr(job.roles[0].mounts[0], "read_only", False),
    ],
)
def test_other_changes_do_too(change: Callable[[AppDef], None]) -> None:
    job = jobs.full()
    changed = copy.deepcopy(job)
    change(changed)

    assert spec_hash(changed, {}) != spec_hash(job, {})


def test_options_are_hashed_too() -> None:
    assert len({spec_hash(jobs.full(), options) for options in ({}, {"a": 1}, {"a": "1"}, {"a": None}, {"b": 1})}) == 5


@given(jobs.apps)
def test_a_copy_has_the_hash_of_its_original_and_shares_nothing(job: AppDef) -> None:
    copied = clone(job)

    assert copied == job
    assert spec_hash(copied, {}) == spec_hash(clone(copied), {})
    for mine, theirs in zip(copied.roles, job.roles, strict=True):
        for name, value in vars(mine).items():
            if isinstance(value, (list, dict, Resource, Workspace)):
                assert value is not getattr(theirs, name)


def test_a_change_of_the_original_never_reaches_a_copy() -> None:
    job = jobs.full()
    copied = clone(job)
    role = job.roles[0]
    role.args.append("x")
    role.metadata["kubernetes"]["spec"]["hostIPC"] = False
    role.resource.capabilities["x"] = role.resource.devices["y"] = 1
    role.mounts[0].dst_path = "/elsewhere"
    assert role.workspace is not None
    role.workspace.projects["x"] = "y"
    job.metadata["owner"] = "you"
    job.roles.pop()

    assert copied == jobs.full()
