"""Texts read as the type asked for, and messages that say what is allowed."""

from __future__ import annotations

import json
import typing
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.specs import jobs
from xrun.errors import InvalidValue
from xrun.specs.values import decode, describe_type, fits, unsupported_reason


class Colour(Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


class Size(Enum):
    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("", str, ""),
        (" a ", str, " a "),
        ("1", str, "1"),
        ("7", int, 7),
        (" -7 ", int, -7),
        ("1.5", float, 1.5),
        ("1e3", float, 1000.0),
        ("2", float, 2.0),
        ("a/b", Path, Path("a/b")),
        ("RED", Colour, Colour.RED),
        ("dark-blue", Colour, Colour.DARK_BLUE),
        ("2", Size, Size.LARGE),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2], 2),
        ("yes", Literal[True, "auto"], True),
        ("auto", Literal[True, "auto"], "auto"),
        ("x", Annotated[str, "-x"], "x"),
        ("None", Optional[int], None),
        ("", Optional[int], None),
        ("3", Optional[int], 3),
        ("", Optional[str], ""),
        ("None", Optional[str], None),
        ("3", int | None, 3),
        ("3", Union[int, str], 3),
        ("3", str | int, 3),
        ("x", int | str, "x"),
        ("1.5", int | float, 1.5),
        ("a,b", Optional[list[str]], ["a", "b"]),
        ("", list[str], []),
        ("a", list[str], ["a"]),
        ("a,", list[str], ["a"]),
        (",", list[str], [""]),
        ("a,,b", list[str], ["a", "", "b"]),
        (" a, b", list[str], [" a", " b"]),
        ("1,2,3", list[int], [1, 2, 3]),
        ('"a,b",c', list[str], ["a,b", "c"]),
        ("'a,b',c", list[str], ["a,b", "c"]),
        (r'"say \"hi\", \\",x', list[str], ['say "hi", \\', "x"]),
        (r'"C:\dir,x",y', list[str], [r"C:\dir,x", "y"]),
        ('"a\nb,c"', list[str], ["a\nb,c"]),
        ("it's,b", list[str], ["it's", "b"]),
        ('"a"b,c', list[str], ['"a"b', "c"]),
        ('""', list[str], [""]),
        ("a=b,c", list[str], ["a=b", "c"]),
        ('["a,b", "c"]', list[str], ["a,b", "c"]),
        ("[1, 2]", list[int], [1, 2]),
        ("[[1], [2, 3]]", list[list[int]], [[1], [2, 3]]),
        ('["x", null]', list[Optional[str]], ["x", None]),
        ("[ab]*.txt", list[str], ["[ab]*.txt"]),
        ("a,b", list, ["a", "b"]),
        ("RED,dark-blue", list[Colour], [Colour.RED, Colour.DARK_BLUE]),
        ("yes,0,off", list[bool], [True, False, False]),
        ("1,a", tuple[int, str], (1, "a")),
        ("1,2,3", tuple[int, ...], (1, 2, 3)),
        ("", tuple[int, ...], ()),
        ("", dict[str, str], {}),
        ("A=1,B=2", dict[str, str], {"A": "1", "B": "2"}),
        ("A=1,B=2", dict[str, int], {"A": 1, "B": 2}),
        ("A=", dict[str, str], {"A": ""}),
        ("A=b=c", dict[str, str], {"A": "b=c"}),
        ("A=x,y,B=2", dict[str, str], {"A": "x,y", "B": "2"}),
        ("A=x,y,B=2", dict[str, list[str]], {"A": ["x", "y"], "B": ["2"]}),
        ('A="x,B=2",C=3', dict[str, str], {"A": "x,B=2", "C": "3"}),
        ("A='p,q=r'", dict[str, str], {"A": "p,q=r"}),
        ("a.b/c-d=1", dict[str, str], {"a.b/c-d": "1"}),
        ('{"a b": "1", "c": {"d": 2}}', dict[str, Any], {"a b": "1", "c": '{"d": 2}'}),
        ('{"a": true, "b": 2, "c": 1.5}', dict[str, str], {"a": "true", "b": "2", "c": "1.5"}),
        ('{"a": {"b": 1}}', dict[str, dict[str, int]], {"a": {"b": 1}}),
        ('{"a": true}', dict[str, Literal[True]], {"a": True}),
        ('{"a": null}', dict[str, Optional[int]], {"a": None}),
    ],
)
def test_decode(text: str, hint: Any, value: Any) -> None:
    found = decode(text, hint)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "True", "YES", " On "])
def test_yes(word: str) -> None:
    assert decode(word, bool) is True
    assert decode(word, Optional[bool]) is True


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "False", "NO", " oFF "])
def test_no(word: str) -> None:
    assert decode(word, bool) is False


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("x", int, "'x' is not a whole number"),
        ("1.5", int, "'1.5' is not a whole number"),
        ("", int, "'' is not a whole number"),
        ("9" * 5000, int, "... is not a whole number"),
        ("x", float, "'x' is not a number"),
        ("maybe", bool, "'maybe' is not a bool: yes, no, true, false, on, off, 1 or 0"),
        ("", bool, "'' is not a bool"),
        ("2", bool, "'2' is not a bool"),
        ("green", Colour, "'green' is not one of RED, DARK_BLUE"),
        ("c", Literal["a", "b"], "'c' is not one of a, b"),
        ("maybe", Literal[True, "auto"], "'maybe' is not one of True, auto"),
        ("x", Optional[int], "'x' is not a whole number"),
        ("x", int | float, "'x' is not a whole number and 'x' is not a number"),
        ("1,x,3", list[int], "element 2: 'x' is not a whole number"),
        ("1,,3", list[int], "element 2: '' is not a whole number"),
        ("[[1], [x]]", list[list[int]], "element 1: "),
        ("[1.5]", list[int], "element 1: '1.5' is not a whole number"),
        ("[null]", list[str], "element 1: null is not str"),
        ("1,2,3", tuple[int, int], "'1,2,3' has 3 parts, 2 are asked for"),
        ("1,x", tuple[int, int], "part 2: 'x' is not a whole number"),
        ("a", dict[str, str], "'a' is not key=value,...: there is no key= at 'a'"),
        ("=a", dict[str, str], "there is no key= at '=a'"),
        ("A=x", dict[str, int], "the value of 'A': 'x' is not a whole number"),
        ('{"a": [1, "x"]}', dict[str, list[int]], "the value of 'a': element 2: 'x' is not a whole number"),
        ("x", type(None), "can't read 'x' as"),
    ],
)
def test_a_wrong_text_says_what_is_right(text: str, hint: Any, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        decode(text, hint)

    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_deep_json_is_an_error_and_no_crash() -> None:
    with pytest.raises(InvalidValue, match="element 1: "):
        decode("[" * 100_000, list[int])


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_texts = jobs.texts | st.text(st.sampled_from("a\"'\\,= \n"), max_size=8)
_keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,8}", fullmatch=True)


@given(st.lists(_texts))
def test_quoted_lists_come_back(texts: list[str]) -> None:
    assert decode(",".join(map(quote, texts)), list[str]) == texts


@given(st.dictionaries(_keys, _texts))
def test_quoted_dicts_come_back(texts: dict[str, str]) -> None:
    assert decode(",".join(f"{key}={quote(text)}" for key, text in texts.items()), dict[str, str]) == texts


@given(st.lists(_texts), st.dictionaries(_texts, _texts), st.lists(st.lists(st.integers())))
def test_json_comes_back(texts: list[str], pairs: dict[str, str], nested: list[list[int]]) -> None:
    assert decode(json.dumps(texts), list[str]) == texts
    assert decode(json.dumps(pairs), dict[str, str]) == pairs
    assert decode(json.dumps(nested), list[list[int]]) == nested


@given(st.integers(), st.floats(allow_nan=False), st.booleans(), st.sampled_from(Colour))
def test_scalars_come_back(whole: int, number: float, flag: bool, colour: Colour) -> None:
    assert decode(str(whole), int) == whole
    assert decode(str(number), float) == number
    assert decode(str(flag), bool) is flag
    assert decode(colour.name, Colour) is decode(colour.value, Colour) is colour


_HINTS: list[Any] = [
    *(str, int, float, bool, Path, Colour, Literal["a", 1], Optional[int], int | str, list, tuple, dict, list[str]),
    *(list[int], list[list[bool]], tuple[int, ...], tuple[int, str], dict[str, str], dict[str, list[int]]),
]


@given(_texts, st.sampled_from(_HINTS))
def test_any_text_is_of_the_type_or_refused(text: str, hint: Any) -> None:
    try:
        value = decode(text, hint)
    except InvalidValue:
        return
    assert fits(value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        *(
            (1, int, True),
            (True, int, False),
            (1.0, int, False),
            ("1", int, False),
            (1, float, True),
            (1.5, float, True),
        ),
        *((True, float, False), (True, bool, True), (1, bool, False), ("a", str, True), (None, str, False)),
        *((None, Optional[int], True), (3, int | None, True), ("x", int | None, False), (Path("a"), Path, True)),
        *((1, Literal[1, "a"], True), (True, Literal[1], False), ("b", Literal["a"], False), (object(), Any, True)),
        *(([1, 2], list[int], True), ([1, "2"], list[int], False), ([], list[int], True), ([1], list, True)),
        *(({"a": 1}, dict[str, int], True), ({"a": "1"}, dict[str, int], False), ({1: 1}, dict[str, int], False)),
        *(((1, "a"), tuple[int, str], True), ((1,), tuple[int, str], False), ((1, 2), tuple[int, ...], True)),
        *((((1, "2")), tuple[int, ...], False), ([1], tuple[int, ...], False), (1, Annotated[int, "x"], True)),
        *((Colour.RED, Colour, True), ("red", Colour, False), (1, list[int], False), (None, None, True)),
    ],
)
def test_fits(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        *((str, "str"), (int, "int"), (bool, "bool"), (Path, "path"), (Colour, "RED|DARK_BLUE"), (list, "str,...")),
        *((Literal["a", 1], "a|1"), (Optional[int], "int"), (int | str, "int|str"), (list[int], "int,...")),
        *(
            (tuple[int, ...], "int,..."),
            (tuple[int, str], "int,str"),
            (dict, "key=str,..."),
            (dict[str, int], "key=int,..."),
        ),
        *((Annotated[float, "x"], "float"), (Optional[list[Path]], "path,...")),
    ],
)
def test_types_as_a_person_writes_them(hint: Any, expected: str) -> None:
    assert describe_type(hint) == expected


@pytest.mark.parametrize("hint", [*_HINTS, Annotated[int, "x"], typing.List, typing.Dict, typing.Tuple, tuple[()]])
def test_what_can_be_read_has_no_reason_against_it(hint: Any) -> None:
    assert unsupported_reason(hint) == ""


@pytest.mark.parametrize(
    ("hint", "reason"),
    [
        (bytes, "bytes is not str, int, float, bool, Path, Optional"),
        (Any, "Any is not str"),
        (set[str], "set[str] is not str"),
        (list[bytes], "bytes is not str"),
        (tuple[int, bytes], "bytes is not str"),
        (Optional[bytes], "bytes is not str"),
        (dict[int, str], "dict[int, str] has keys that are not str"),
        (dict[str, object], "object is not str"),
        (Literal["a", b"b"], "holds more than str, int and bool"),
        (Annotated[complex, "x"], "complex is not str"),
        (None, "None is not str"),
        (typing.Callable[[], int], "typing.Callable[[], int] is not str"),
    ],
)
def test_what_cant_be_read_says_why(hint: Any, reason: str) -> None:
    assert reason in unsupported_reason(hint)
