"""A scheduler's options: one dataclass is read for names, types, defaults and help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from xrun.errors import InvalidValue, UnknownName
from xrun.specs.options import CommonOptions, option, runopts


@dataclass(frozen=True)
class Options(CommonOptions):
    partition: str | None = option(None, help="which partition")
    nodes: int | None = option(None, help="how many")
    labels: dict[str, str] = option({"a": "b"}, help="labels")
    paths: list[str] = option([], help="paths")
    mode: Literal["fast", "safe"] = option("safe", help="how")
    retries: int = option(3, help="how often")


@dataclass(frozen=True)
class Needy:
    account: str = option(help="who pays")
    queue: str = option(help="where")


OPTS = runopts(Options)


def test_each_field_is_an_option_in_order() -> None:
    assert [name for name, _ in OPTS] == [
        *("max_runtime", "grace_period", "image", "inherit_env"),
        *("partition", "nodes", "labels", "paths", "mode", "retries"),
    ]
    assert len(OPTS) == 10
    retries, labels, nothing = OPTS.get("retries"), OPTS.get("labels"), OPTS.get("nothing")
    assert retries is not None
    assert labels is not None
    assert nothing is None
    assert (retries.type_, retries.default, retries.is_required, retries.help) == (int, 3, False, "how often")
    assert (labels.default, labels.type_name) == ({"a": "b"}, "key=str,...")


def test_defaults_of_lists_and_dicts_are_not_shared() -> None:
    one, two = OPTS.resolve({}), OPTS.resolve({})
    one.labels["x"] = "y"

    assert two.labels == {"a": "b"}


def test_the_defaults() -> None:
    assert OPTS.resolve({}) == Options()
    assert (Options().grace_period, Options().max_runtime, Options().inherit_env) == (30.0, 0.0, True)


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("max_runtime", "90", 90.0),
        ("max_runtime", 90, 90.0),
        ("max_runtime", 0.5, 0.5),
        ("inherit_env", "no", False),
        ("inherit_env", True, True),
        ("image", "", ""),
        ("partition", "gpu", "gpu"),
        ("partition", "None", None),
        ("partition", None, None),
        ("nodes", "4", 4),
        ("nodes", 4, 4),
        ("nodes", None, None),
        ("labels", "a=1,b=x,y", {"a": "1", "b": "x,y"}),
        ("labels", {"a": "1"}, {"a": "1"}),
        ("paths", "a,b", ["a", "b"]),
        ("paths", ["a,b"], ["a,b"]),
        ("mode", "fast", "fast"),
    ],
)
def test_resolve_reads_texts_and_takes_values(key: str, given: Any, value: Any) -> None:
    found = getattr(OPTS.resolve({key: given}), key)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("max_runtime", "soon", "option max_runtime: 'soon' is not a number"),
        ("max_runtime", True, "option max_runtime: True is not float"),
        ("max_runtime", "-1", "option max_runtime: -1.0 is not a number of seconds, 0 to"),
        ("grace_period", "nan", "option grace_period: nan is not a number of seconds"),
        ("grace_period", float("inf"), "option grace_period: inf is not a number of seconds"),
        ("inherit_env", "maybe", "option inherit_env: 'maybe' is not a bool: yes, no"),
        ("inherit_env", 1, "option inherit_env: 1 is not bool"),
        ("image", 7, "option image: 7 is not str"),
        ("nodes", "four", "option nodes: 'four' is not a whole number"),
        ("nodes", 4.5, "option nodes: 4.5 is not int"),
        ("nodes", True, "option nodes: True is not int"),
        ("retries", None, "option retries: None is not int"),
        ("labels", "a", "option labels: 'a' is not key=value,..."),
        ("labels", {"a": 1}, "option labels: {'a': 1} is not key=str,..."),
        ("paths", [1], "option paths: [1] is not str,..."),
        ("paths", {"a": "b"}, "option paths: {'a': 'b'} is not str,..."),
        ("mode", "slow", "option mode: 'slow' is not one of fast, safe"),
        ("mode", 1, "option mode: 1 is not fast|safe"),
    ],
)
def test_a_wrong_value_names_its_option(key: str, given: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        OPTS.resolve({key: given})

    assert str(caught.value).startswith(message)


def test_an_unknown_option_names_the_near_one() -> None:
    with pytest.raises(UnknownName, match="unknown option 'grace_perid'; did you mean grace_period") as caught:
        OPTS.resolve({"grace_perid": 3})

    assert caught.value.kind == "option"
    assert "retries" in caught.value.known


def test_required_options_are_named_all_at_once() -> None:
    with pytest.raises(
        InvalidValue, match="required option account, queue is not set; give it with -cfg account=VALUE"
    ):
        runopts(Needy).resolve({})
    with pytest.raises(InvalidValue, match="required option queue is not set"):
        runopts(Needy).resolve({"account": "me"})

    assert runopts(Needy).resolve({"account": "me", "queue": "q"}) == Needy("me", "q")
    account = runopts(Needy).get("account")
    assert account is not None
    assert account.is_required


@pytest.mark.parametrize(
    ("text", "cfg"),
    [("", {}), ("a=1", {"a": "1"}), ("a=1,b=x=y,z", {"a": "1", "b": "x=y,z"}), ('a="b,c=d"', {"a": "b,c=d"})],
)
def test_cfg_from_str(text: str, cfg: dict[str, str]) -> None:
    assert OPTS.cfg_from_str(text) == cfg


def test_a_cfg_that_is_no_pairs() -> None:
    with pytest.raises(InvalidValue, match="is not key=value,"):
        OPTS.cfg_from_str("fast")
