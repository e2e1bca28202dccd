from __future__ import annotations

import functools
import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.components import finder, signature
from xrun.components.finder import Component
from xrun.errors import InvalidComponent, InvalidValue, UnknownName, UsageError
from xrun.specs import AppDef
from xrun.specs.serialize import to_dict

if TYPE_CHECKING:
    import xrun.specs.app as unresolvable


class Color(str, Enum):
    RED = "r"
    BLUE = "b"


GOT: dict[str, Any] = {}


def every(
    first: str,
    *words: str,
    i: int = 1,
    f: float = 0.5,
    b: bool = False,
    p: Path = Path(),
    o: Optional[int] = None,
    u: None | float = None,  # noqa: RUF036
    lit: Literal["a", "b", 3] = "a",
    color: Color = Color.RED,
    items: list[int] | None = None,
    pair: tuple[str, int] = ("a", 1),
    table: dict[str, float] | None = None,
    nested: dict[str, list[int]] | None = None,
    note: Annotated[str, "-nt"] = "",
) -> AppDef:
    GOT.clear()
    GOT.update(locals())
    return AppDef("every")


EVERY = Component("every", every)


def call(component: Component, args: Any) -> dict[str, Any]:
    signature.bind(component, args)
    return GOT


def test_parameters() -> None:
    """Describes.

    Args are of `every`.
    """
    found = {p.name: p for p in signature.parameters(every)}
    assert list(found) == list(every.__annotations__)[:-1]
    assert [p.name for p in found.values() if p.required] == ["first"]
    assert [p.name for p in found.values() if p.variadic] == ["words"]
    assert (found["o"].hint, found["items"].hint, found["i"].default) == (Optional[int], list[int] | None, 1)
    assert signature.check(every) == []


def test_help_comes_from_the_docstring() -> None:
    def f(a: str, *rest: str) -> AppDef:
        """F.

        Args:
            a: what a is,
                in two lines.
            *rest: others.
        """
        return AppDef(a)

    assert [p.help for p in signature.parameters(f)] == ["what a is, in two lines.", "others."]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i", "-3", -3),
        ("f", "1e3", 1000.0),
        ("b", "on", True),
        ("p", "/a b", Path("/a b")),
        ("o", "5", 5),
        ("o", "", None),
        ("u", "2", 2.0),
        ("lit", "3", 3),
        ("color", "BLUE", Color.BLUE),
        ("color", "b", Color.BLUE),
        ("items", "1,2", [1, 2]),
        ("pair", "x,2", ("x", 2)),
        ("table", "a=1,b=2", {"a": 1.0, "b": 2.0}),
        ("nested", '{"a": [1, 2]}', {"a": [1, 2]}),
        ("note", "a=b,'c'", "a=b,'c'"),
    ],
)
def test_texts_become_values_on_either_way_in(name: str, text: str, value: Any) -> None:
    assert call(EVERY, {"first": "x", name: text})[name] == value
    spelled = f"--{name}={text}"
    assert call(EVERY, ["--first", "x", spelled])[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("i", 3),
        ("f", 3),
        ("b", True),
        ("p", Path("a")),
        ("o", None),
        ("color", Color.BLUE),
        ("items", [1]),
        ("pair", ("b", 2)),
    ],
)
def test_values_pass_as_they_are(name: str, value: Any) -> None:
    assert call(EVERY, {"first": "x", name: value})[name] is value


@pytest.mark.parametrize(
    ("name", "value"), [("first", 2), ("i", "x"), ("i", 1.5), ("i", None), ("p", 1), ("words", "a b")]
)
def test_values_of_a_wrong_type(name: str, value: Any) -> None:
    with pytest.raises(InvalidValue, match=f"option {name}: "):
        signature.bind(EVERY, {"first": "x", name: value})


def test_words_are_a_list_under_their_name() -> None:
    assert call(EVERY, {"first": "x", "words": ["a,b", "--c", ""]})["words"] == ("a,b", "--c", "")
    assert call(EVERY, ["--first", "x", "--", "--first", "--"])["words"] == ("--first", "--")


@given(st.lists(st.text()))
def test_a_list_of_texts_comes_back(words: list[str]) -> None:
    def f(items: list[str], *rest: str) -> AppDef:
        return AppDef("f", metadata={"items": json.dumps(items), "rest": json.dumps(rest)})

    component = Component("f", f)
    quoted = ['"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in words]
    for option in ([f"--items={json.dumps(words)}"], [f"--items={','.join(quoted)}"], [f"--items={q}" for q in quoted]):
        app = signature.bind(component, [*option, "--", *words] if option else ["--items=", "--", *words])
        assert [json.loads(v) for v in app.metadata.values()] == [words, words]


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True), st.text()))
def test_an_environment_comes_back(env: dict[str, str]) -> None:
    quoted = [k + '="' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for k, v in env.items()]
    for option in ([f"--env={json.dumps(env)}"], [f"--env={','.join(quoted)}"], [f"--env={q}" for q in quoted]):
        app = signature.bind(finder.find("utils.sh"), [*option, "true"])
        assert app.roles[0].env == env


def test_every_missing_one_is_named() -> None:
    def f(a: str, *, b_c: int, d: str = "") -> AppDef:
        raise NotImplementedError

    ways: list[Any] = [[], {}]
    for args in ways:
        with pytest.raises(InvalidValue, match="f needs -a and --b-c"):
            signature.bind(Component("f", f), args)


def test_unknown_name() -> None:
    with pytest.raises(UnknownName, match=r"unknown option 'colour'; did you mean color"):
        signature.bind(EVERY, {"colour": "r"})
    with pytest.raises(UnknownName, match=r"unknown option '--colour'; did you mean --color"):
        signature.bind(EVERY, ["--colour", "r"])


def test_help_is_no_job() -> None:
    with pytest.raises(UsageError, match="--help"):
        signature.bind(EVERY, ["--help"])


def test_parameters_by_position() -> None:
    def f(a: str, b: int = 2, /, c: int = 3, *rest: int, d: int = 4) -> AppDef:
        return AppDef(repr((a, b, c, rest, d)))

    component = Component("f", f)
    assert signature.bind(component, {"a": "x"}).name == "('x', 2, 3, (), 4)"
    assert signature.bind(component, ["-a", "x", "-c", "5", "-d=6", "7", "8"]).name == "('x', 2, 5, (7, 8), 6)"
    with pytest.raises(InvalidValue, match="option rest: 'y' is not a whole number"):
        signature.bind(component, ["-a", "x", "y"])


def test_every_reason_at_once() -> None:
    def f(a, b: set[str], c: Nonesuch, help: str, d: bytes | None = None, **rest: str) -> int:  # type: ignore  # noqa: A002, F821, PGH003
        return 1

    reasons = signature.check(f)
    assert [r.split(":")[0] for r in reasons] == [
        "parameter 'c'",
        "parameter 'a' has no type; write a",
        "parameter 'b'",
        "parameter 'help'",
        "parameter 'd'",
        "**rest",
        "it returns builtins.int, not an AppDef of xrun.specs",
    ]
    with pytest.raises(InvalidComponent) as caught:
        signature.bind(Component("f.py:f", f), ["--help"])
    assert all(r in str(caught.value) for r in reasons)


def test_what_is_no_function() -> None:
    assert signature.check(AppDef) == [f"{AppDef!r} is not a function"]
    assert "is not a function" in signature.check(functools.partial(every, "a"))[0]


def test_returns() -> None:
    class Mine(AppDef):
        pass

    def nothing(): ...  # type: ignore[no-untyped-def]

    def sub() -> Mine: ...  # type: ignore[empty-body]

    def checked() -> unresolvable.AppDef: ...  # type: ignore[empty-body]

    def other() -> unresolvable.BindMount: ...  # type: ignore[name-defined]

    async def later() -> AppDef: ...  # type: ignore[empty-body]

    sub.__annotations__["return"] = Mine
    assert signature.check(nothing) == ["it doesn't say what it returns; write -> AppDef"]
    assert signature.check(sub) == signature.check(checked) == []
    assert signature.check(other) == ["it returns unresolvable.BindMount, not an AppDef of xrun.specs"]
    assert signature.check(later)[0].startswith("it is async")
    with pytest.raises(InvalidComponent, match=r"sub returned a builtins\.NoneType, not an AppDef of xrun.specs"):
        signature.bind(Component("sub", sub), {})


def test_wrapped_function() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    component = Component("every", logged(every))
    assert signature.check(component.fn) == []
    assert call(component, ["--first", "x", "-i", "4", "w"])["words"] == ("w",)
    assert GOT["i"] == 4


def test_an_error_of_the_component_names_its_line() -> None:
    def f() -> AppDef:
        raise ZeroDivisionError

    with pytest.raises(InvalidComponent, match=r"^f failed: .*test_signature\.py:\d+: ZeroDivisionError$") as error:
        signature.bind(Component("f", f), {})
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_ddp_by_dict_equals_ddp_by_words() -> None:
    ddp = finder.find("dist.ddp")
    by_words = signature.bind(
        ddp, ["-j", "2x4", "--script", "t.py", "--env", "A=1,B=x=y", "-h", "gpu.small", "--", "-x"]
    )
    by_dict = signature.bind(
        ddp, {"j": "2x4", "script": "t.py", "env": {"A": "1", "B": "x=y"}, "h": "gpu.small", "script_args": ["-x"]}
    )
    assert to_dict(by_words) == to_dict(by_dict)
