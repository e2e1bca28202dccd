"""Jobs as plain data, JSON and YAML: what is written is what is read, and what can't be read is named."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from tests.specs import jobs
from xrun.errors import InvalidValue
from xrun.specs.app import AppDef
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.serialize import (
    differences,
    from_dict,
    from_json,
    from_plain,
    from_yaml,
    to_dict,
    to_json,
    to_plain,
    to_yaml,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "specs_app.yaml"


@given(jobs.apps)
def test_a_dict_comes_back(app: AppDef) -> None:
    assert from_dict(to_dict(app)) == app


@given(jobs.apps)
def test_json_comes_back(app: AppDef) -> None:
    assert from_json(to_json(app)) == app


@given(jobs.apps)
def test_yaml_comes_back(app: AppDef) -> None:
    assert from_yaml(to_yaml(app)) == app


@pytest.mark.parametrize("text", jobs.HOSTILE)
def test_a_hostile_text_comes_back_from_everywhere(text: str) -> None:
    role = Role(text, args=[text, "a", text], env={text: text}, metadata={text: [text, {text: text}]})
    app = AppDef(text, [role], {text: text})

    assert from_yaml(to_yaml(app)) == from_json(to_json(app)) == from_dict(to_dict(app)) == app


def test_yaml_and_json_say_the_same() -> None:
    assert yaml.safe_load(to_yaml(jobs.full())) == json.loads(to_json(jobs.full())) == to_dict(jobs.full())


def test_the_order_is_that_of_the_fields() -> None:
    plain = to_dict(jobs.full())

    assert list(plain) == [f.name for f in fields(AppDef)]
    assert list(plain["roles"][0]) == [f.name for f in fields(Role)]
    assert list(plain["roles"][0]["resource"]) == [f.name for f in fields(Resource)]
    assert list(plain["roles"][0]["mounts"][0]) == ["type", "src_path", "dst_path", "read_only"]
    assert to_json(jobs.full()) == to_json(from_json(to_json(jobs.full())))
    assert to_yaml(jobs.full()) == to_yaml(from_yaml(to_yaml(jobs.full())))


def test_the_yaml_of_a_job_with_every_field() -> None:
    text = to_yaml(jobs.full())
    if os.environ.get("XRUN_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")

    assert text == GOLDEN.read_text(encoding="utf-8")
    assert from_yaml(text) == jobs.full()


@pytest.mark.parametrize("text", ["1e3", "1E5", "-1.e-3", ".5e1", "0o17", "1", "1.5", "+2", "no", "null", "~"])
def test_a_text_like_a_number_is_quoted_for_readers_of_yaml_1_2(text: str) -> None:
    assert f"entrypoint: '{text}'\n" in to_yaml(AppDef("a", [Role("r", entrypoint=text)]))


@pytest.mark.parametrize("text", ["1e3x", "e3", "v1.2", "a.5", "1.2.3"])
def test_another_text_is_not(text: str) -> None:
    assert f"entrypoint: {text}\n" in to_yaml(AppDef("a", [Role("r", entrypoint=text)]))


def test_a_short_file_by_hand_is_enough() -> None:
    app = from_yaml("name: job\nroles:\n- name: r\n  entrypoint: sh\n  resource: {cpu: 2}\n  retry_policy: REPLICA\n")

    assert app == AppDef(
        "job", [Role("r", entrypoint="sh", resource=Resource(cpu=2), retry_policy=RetryPolicy.REPLICA)]
    )


def at(path: str, value: Any) -> dict[str, Any]:
    """The plain job with every field, one value changed (or one field put in)."""
    plain = to_dict(jobs.full())
    *inner, last = path.split(".")
    data: Any = plain
    for key in inner:
        data = data[int(key) if key.isdigit() else key]
    data[int(last) if last.isdigit() else last] = value
    return plain


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("role", "app has an unknown field 'role'; did you mean roles?"),
        ("roles.0.arg", "app.roles[0] has an unknown field 'arg'; did you mean args?"),
        ("roles.0.num_replica", "app.roles[0] has an unknown field 'num_replica'; did you mean num_replicas"),
        ("roles.1.resource.memMb", "app.roles[1].resource has an unknown field 'memMb'; did you mean memMB?"),
        ("roles.0.mounts.0.dst", "app.roles[0].mounts[0] has an unknown field 'dst'"),
        ("roles.0.mounts.2.read_only", "app.roles[0].mounts[2] has an unknown field 'read_only'"),
        ("roles.0.workspace.project", "app.roles[0].workspace has an unknown field 'project'; did you mean projects?"),
    ],
)
def test_an_unknown_field_is_refused_by_name(path: str, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        from_dict(at(path, "x"))

    assert str(caught.value).startswith(message)


def test_a_field_that_is_no_text_is_unknown_too() -> None:
    with pytest.raises(InvalidValue, match="app has an unknown field 1"):
        from_dict({"name": "a", 1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", 1, "app.name is a whole number (1), it must be a string"),
        ("roles", {}, "app.roles is a mapping, it must be a list"),
        ("roles.0", "trainer", "app.roles[0] is a string, it must be a mapping of Role's fields"),
        ("roles.0.args", "a b", "app.roles[0].args is a string, it must be a list"),
        ("roles.0.args.1", None, "app.roles[0].args[1] is null (None), it must be a string"),
        ("roles.0.env", ["A=b"], "app.roles[0].env is a list, it must be a mapping"),
        ("roles.0.env", {"A": True}, "app.roles[0].env.A is a bool (True), it must be a string"),
        ("roles.0.env", {1: "x"}, "app.roles[0].env has the key 1, a whole number; keys must be strings"),
        ("roles.0.env", {None: "x"}, "app.roles[0].env has the key None, null; keys must be strings"),
        ("roles.0.num_replicas", "2", "app.roles[0].num_replicas is a string ('2'), it must be a whole number"),
        ("roles.0.num_replicas", 2.0, "app.roles[0].num_replicas is a number (2.0), it must be a whole number"),
        ("roles.0.num_replicas", True, "app.roles[0].num_replicas is a bool (True), it must be a whole number"),
        ("roles.0.min_replicas", [], "app.roles[0].min_replicas is a list ([]), it must be a whole number"),
        ("roles.0.retry_policy", "REPLCA", "app.roles[0].retry_policy is 'REPLCA'; did you mean REPLICA?"),
        ("roles.0.retry_policy", [], "app.roles[0].retry_policy is []; there are: APPLICATION, REPLICA, ROLE"),
        ("roles.0.resource", None, "app.roles[0].resource is null, it must be a mapping of Resource's fields"),
        ("roles.0.resource.cpu", "2", "app.roles[0].resource.cpu is a string ('2'), it must be a number"),
        ("roles.0.resource.cpu", True, "app.roles[0].resource.cpu is a bool (True), it must be a number"),
        ("roles.0.resource.devices", {"a": 0.5}, "app.roles[0].resource.devices.a is a number (0.5), it must be"),
        ("roles.0.mounts.0", "/a:/b", "app.roles[0].mounts[0] is a string, it must be a mapping of a mount's fields"),
        ("roles.0.mounts.0.type", "nfs", "app.roles[0].mounts[0].type is 'nfs', it must be one of bind, volume, dev"),
        ("roles.0.mounts.0.type", [], "app.roles[0].mounts[0].type is [], it must be one of bind, volume, device"),
        ("roles.0.mounts.0.read_only", 1, "app.roles[0].mounts[0].read_only is a whole number (1), it must be a bool"),
        ("roles.0.workspace", ".", "app.roles[0].workspace is a string, it must be a mapping of Workspace's fields"),
        ("roles.0.primary", "no", "app.roles[0].primary is a string ('no'), it must be a bool"),
        ("roles.1", {"entrypoint": "sh"}, "app.roles[1] lacks name"),
        ("roles.0.mounts.1", {"type": "volume"}, "app.roles[0].mounts[1] lacks src, dst_path"),
        ("roles.0.mounts.1", {}, "app.roles[0].mounts[1].type is None, it must be one of bind, volume, device"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        from_dict(at(path, value))

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"x"'])
def test_what_is_no_mapping(text: str) -> None:
    for read in (from_json, from_yaml):
        with pytest.raises(InvalidValue, match=r"it must be a mapping of AppDef's fields|not JSON"):
            read(text)


@pytest.mark.parametrize("text", ["{", "{'a': 1}", "[" * 100_000, '{"name": ' + "9" * 5000 + "}"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(InvalidValue, match="not JSON: "):
        from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a: [", "a: b: c", "\tx: 1", "&a *b", "!!python/object:os.system x", "name: 2024-13-45", "{[]: 1}"),
        *("name: " + "9" * 5000, "\ud800", "--- a\n--- b"),
    ],
)
def test_what_is_not_yaml(text: str) -> None:
    with pytest.raises(InvalidValue, match="not YAML: ") as caught:
        from_yaml(text)
    assert "\n" not in str(caught.value)


class Level(IntEnum):
    HIGH = 3


class Colour(str, Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Number(float):
    __slots__ = ()


def test_values_of_subclasses_are_written_as_what_they_are() -> None:
    metadata = {"a": Level.HIGH, "b": Colour.RED, "c": Text("no"), "d": Number(1.5), "e": (1, (2,)), "f": {"z", "y"}}
    app = AppDef("a", [Role("r", metadata=metadata)])
    expected = {"a": 3, "b": "red", "c": "no", "d": 1.5, "e": [1, [2]], "f": ["y", "z"]}

    assert from_yaml(to_yaml(app)).roles[0].metadata == expected
    assert {type(v) for v in to_plain(metadata).values()} == {int, str, float, list}


def test_what_is_none_of_ours_is_written_as_its_text() -> None:
    assert to_plain({"path": Path("/a"), 1: b"x"}) == {"path": "/a", "1": "b'x'"}


def test_plain_data_shares_nothing_with_the_job() -> None:
    app = jobs.full()
    plain = to_dict(app)
    plain["roles"][0]["metadata"]["kubernetes"].clear()
    plain["roles"][0]["args"].clear()
    plain["metadata"].clear()

    assert app == jobs.full()


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 3, "a": 1, "c": 4}, ["b", "c"]),
        ({"roles": [{"env": {"A": "x"}}]}, {"roles": [{"env": {"A": "y"}}]}, ["roles[0].env.A"]),
        ({"args": ["a"]}, {"args": ["a", "b"]}, ["args"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a"]),
        ({"a": None}, {"a": {"b": 1}}, ["a"]),
    ],
)
def test_differences(old: Any, new: Any, paths: list[str]) -> None:
    assert differences(old, new) == paths


def test_a_resource_of_a_configuration_file() -> None:
    given = {"cpu": 2.5, "devices": {"efa": 1}, "memMB": 512}
    assert from_plain(Resource, given, "resource") == Resource(2.5, -1, 512, devices={"efa": 1})
    with pytest.raises(InvalidValue, match=r"resource has an unknown field 'mem'"):
        from_plain(Resource, {"mem": 512}, "resource")
