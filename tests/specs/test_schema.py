"""What the schema takes, the reader takes; what the reader refuses, the schema refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Optional, Required, TypedDict

import jsonschema
import pytest

from xrun.errors import InvalidValue
from xrun.specs import AppDef, AppState, Role, from_dict, to_dict
from xrun.specs.schema import schema_of

from .jobs import full


class Answer(TypedDict):
    """An answer.

    Attributes:
        version: of the format.
        note: what else there is.
    """

    version: Literal[1]
    note: NotRequired[str | None]


class Partial(TypedDict, total=False):
    """Part of an answer."""

    a: int
    b: Required[int]


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (str, ["", "a"], [1, None]),
        (int, [1, -1], ["1", 1.5]),
        (float, [1, 1.5], ["1"]),
        (bool, [True], [1, "yes"]),
        (Path, ["a/b"], [1]),
        (Any, [1, None, {}], []),
        (Optional[int], [1, None], ["a"]),
        (int | list[str], [1, ["a"]], ["a", [1]]),
        (Literal["a", 1], ["a", 1], ["b"]),
        (AppState, [0, 7], [8]),
        (list[int], [[], [1]], [["a"], 1]),
        (tuple[int, str], [[1, "a"]], [[1], [1, "a", 2]]),
        (dict[str, int], [{}, {"a": 1}], [{"a": "b"}, []]),
        (Annotated[str, "-n"], ["a"], [1]),
        (Partial, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}, {"b": 1, "c": 1}]),
        (Answer, [{"version": 1}, {"version": 1, "note": None}], [{}, {"version": 2}, {"version": 1, "more": 1}]),
    ],
)
def test_types(hint: Any, good: list[Any], bad: list[Any]) -> None:
    check = jsonschema.Draft202012Validator(schema_of(hint))
    assert [value for value in good if not check.is_valid(value)] == []
    assert [value for value in bad if check.is_valid(value)] == []


def test_a_job_with_every_field_is_valid() -> None:
    jsonschema.validate(to_dict(full()), schema_of(AppDef))


@pytest.mark.parametrize(
    "damage",
    [
        {"name": 1},
        {"roles": {}},
        {"roles": [{"entrypoint": "true"}]},
        {"roles": [{"name": "r", "num_replicas": "2"}]},
        {"roles": [{"name": "r", "mounts": [{"type": "bnd", "src_path": "/a", "dst_path": "/b"}]}]},
        {"roles": [{"name": "r", "retry_policy": "ALL"}]},
        {"rolls": []},
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(damage: dict[str, Any]) -> None:
    job = {**to_dict(AppDef("a", [Role("r", entrypoint="true")])), **damage}
    with pytest.raises(InvalidValue):
        from_dict(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, schema_of(AppDef))


def test_fields_are_described() -> None:
    role = schema_of(AppDef)["properties"]["roles"]["items"]["properties"]
    assert role["num_replicas"]["description"] == "copies that start together."
    assert role["num_replicas"]["default"] == 1
    assert schema_of(Answer)["properties"]["version"]["description"] == "of the format."
