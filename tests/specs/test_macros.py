"""The macro rules of design.md: one pass, `$${app_id}` is the literal, every other byte is the user's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.specs import macros

VALUES = {"app_id": "job-x7f2q", "num_replicas": "4", "img_root": "", "replica_id": "3", "rank0_env": "XRUN_RANK0_HOST"}
_pieces = st.sampled_from(
    ["$", "$$", "{", "}", "${", "}$", "app_id", "${app_id}", "$${app_id}", "${rank0_env}", "${x}"]
)
_texts = st.lists(_pieces | st.text(max_size=4), max_size=8).map("".join)
_values = st.dictionaries(st.sampled_from(sorted(VALUES)), _texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${app_id}", "job-x7f2q"),
        ("a${app_id}b${replica_id}", "ajob-x7f2qb3"),
        ("${app_id}${app_id}", "job-x7f2qjob-x7f2q"),
        ("[${img_root}]", "[]"),
        ("${num_replicas}/${rank0_env}", "4/XRUN_RANK0_HOST"),
        ("$${app_id}", "${app_id}"),
        ("$$${app_id}", "$${app_id}"),
        ("$${app_id}${app_id}", "${app_id}job-x7f2q"),
        ("${${rank0_env}:?}", "${XRUN_RANK0_HOST:?}"),
    ],
)
def test_what_is_replaced(text: str, expected: str) -> None:
    assert macros.substitute(text, VALUES) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "$", "$$", "$$$", "$app_id", "$(app_id)", "{app_id}", "${}", "${app_id", "${ app_id }", "${APP_ID}"),
        *(
            "${app_idx}",
            "${app_id:-x}",
            "$${HOME}",
            "$$HOME",
            "100%$",
            "${app\n_id}",
            "$\x01{app_id}",
            "\\${x}",
            "${x}",
        ),
    ],
)
def test_every_other_byte_is_left(text: str) -> None:
    assert macros.substitute(text, VALUES) == text


def test_a_macro_without_a_value_is_left_and_its_escape_is_not() -> None:
    assert (
        macros.substitute("${replica_id} $${replica_id} ${app_id}", {"app_id": "a"}) == "${replica_id} ${replica_id} a"
    )


def test_what_is_inserted_is_never_looked_at_again() -> None:
    values = {"app_id": "${num_replicas}", "num_replicas": "$", "img_root": "{app_id}"}

    assert macros.substitute("${app_id}|${num_replicas}${img_root}", values) == "${num_replicas}|${app_id}"


@given(_texts, _values)
def test_split_agrees_with_substitute(text: str, values: dict[str, str]) -> None:
    parts = macros.split(text)

    assert "".join(part if kind == "text" else values.get(part, f"${{{part}}}") for kind, part in parts) == (
        macros.substitute(text, values)
    )
    assert all(part for _, part in parts)
    assert {part for kind, part in parts if kind == "macro"} == macros.used(text)


@given(_texts)
def test_a_text_without_macros_stays_as_it_is(text: str) -> None:
    if not any(f"${{{name}}}" in text for name in VALUES):
        assert macros.substitute(text, VALUES) == text
        assert macros.used(text) == set()


@given(_texts)
def test_any_text_can_be_escaped(text: str) -> None:
    escaped = re.sub(rf"(?=\$\{{({'|'.join(VALUES)})\}})", "$", text)

    assert macros.substitute(escaped, VALUES) == text


def test_used_names_what_is_not_escaped() -> None:
    assert macros.used("${app_id} $${num_replicas} ${replica_id} ${x}") == {"app_id", "replica_id"}


def test_substitute_in_reaches_every_text_and_leaves_keys_and_other_values() -> None:
    given_value = {"${app_id}": ["${app_id}", ("${replica_id}", 1)], "b": {"c": "$${app_id}"}, "d": None, "e": 2.5}

    assert macros.substitute_in(given_value, VALUES) == {
        "${app_id}": ["job-x7f2q", ("3", 1)],
        "b": {"c": "${app_id}"},
        "d": None,
        "e": 2.5,
    }


def test_the_constants_are_the_spellings() -> None:
    for name in (*macros.APP_LEVEL, *macros.REPLICA_LEVEL):
        assert getattr(macros, name) == f"${{{name}}}"
    assert macros.RANK0_HOST == "XRUN_RANK0_HOST"
