"""The tree of errors: what its docstring draws is what there is."""

from __future__ import annotations

import errno
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun import errors
from xrun.errors import XrunError
from xrun.specs.problems import Problem, Severity
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

PROBLEMS = [
    Problem("XR001", "name", "the app's name is ''", "give it one"),
    Problem("XR027", "roles[0]", "a typo", "mend it", Severity.WARNING),
]
DIFFERS = "already stands for local://default/a, which differs in: roles[0].args; use another --request-id"
EXAMPLES: dict[str, XrunError] = {
    "XrunError": XrunError("no"),
    "UsageError": errors.UsageError("no"),
    "UnknownName": errors.UnknownName("scheduler", "slrum", ["slurm", "local"], hint="see xrun runopts"),
    "MalformedHandle": errors.MalformedHandle("no"),
    "InvalidValue": errors.InvalidValue("no"),
    "InvalidComponent": errors.InvalidComponent("no"),
    "InvalidConfig": errors.InvalidConfig("no"),
    "InvalidJob": errors.InvalidJob(PROBLEMS),
    "Unsupported": errors.Unsupported(PROBLEMS[:1]),
    "RequestConflict": errors.RequestConflict("r1", "local://default/a", ["roles[0].args"]),
    "BackendError": errors.BackendError("no"),
    "JobNotFound": errors.JobNotFound("local://default/a", hint="xrun list"),
    "WaitTimeout": errors.WaitTimeout("no"),
    "JobFailed": errors.JobFailed(AppStatus(AppState.FAILED, msg="exit 3")),
    "JobCancelled": errors.JobCancelled(AppStatus(AppState.CANCELLED)),
    "BackendUnavailable": errors.BackendUnavailable("no"),
}


def drawn() -> list[tuple[str, str, int, str]]:
    """(parent, name, exit code, code) of each line of the docstring's tree, the root's left out."""
    found, parents = [], ["XrunError"]
    for line in (errors.__doc__ or "").splitlines():
        m = re.match(r" {4}([│ ]*)[├└]── (\w+) +(\d+) +(XR\d{3}|--)", line)
        if m:
            depth = len(m[1]) // 4
            parents = [*parents[: depth + 1], m[2]]
            found.append((parents[depth], m[2], int(m[3]), "" if m[4] == "--" else m[4]))
    return found


def classes(root: type[XrunError] = XrunError) -> list[tuple[str, str, int, str]]:
    ours = [c for c in root.__subclasses__() if c.__module__ == errors.__name__]
    return [row for c in ours for row in [(root.__name__, c.__name__, c.exit_code, c.code), *classes(c)]]


def test_the_tree_that_is_drawn_is_the_tree_there_is() -> None:
    assert sorted(drawn()) == sorted(classes())
    assert len(drawn()) == len(EXAMPLES) - 1


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    codes = {name: code for _, name, code, _ in classes()}

    assert {codes[n] for n in ("UsageError", "UnknownName", "MalformedHandle", "InvalidValue", "InvalidComponent")} == {
        2
    }
    assert {codes[n] for n in ("InvalidJob", "Unsupported", "RequestConflict")} == {3}
    assert [codes[n] for n in ("JobFailed", "BackendError", "JobNotFound", "WaitTimeout")] == [1, 4, 5, 6]
    assert [codes[n] for n in ("JobCancelled", "BackendUnavailable")] == [7, 8]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_error_comes_whole_out_of_another_process(name: str) -> None:
    error = EXAMPLES[name]
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert str(back) == str(error) != ""
    assert vars(back) == vars(error)


def test_a_timeout_is_pythons_too() -> None:
    with pytest.raises(TimeoutError, match="^30 s are over$"):
        raise errors.WaitTimeout("30 s are over")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("UnknownName", "unknown scheduler 'slrum'; did you mean slurm?; see xrun runopts"),
        ("InvalidJob", f"the job has 2 problems: {PROBLEMS[0]}; [XR027] roles[0]: a typo (mend it)"),
        ("Unsupported", "the job has a problem: [XR001] name: the app's name is '' (give it one)"),
        ("RequestConflict", f"request id 'r1' {DIFFERS}"),
        ("JobNotFound", "no such job: local://default/a; xrun list"),
        ("JobFailed", "the job ended FAILED: exit 3"),
        ("JobCancelled", "the job ended CANCELLED"),
    ],
)
def test_messages(name: str, message: str) -> None:
    assert str(EXAMPLES[name]) == message


def test_what_a_caller_can_ask_an_error() -> None:
    unknown, conflict = errors.UnknownName("option", "x", {"b": 1, "a": 2}), EXAMPLES["RequestConflict"]

    assert (unknown.kind, unknown.name, unknown.known) == ("option", "x", ["a", "b"])
    assert isinstance(conflict, errors.RequestConflict)
    assert (conflict.request_id, conflict.handle, conflict.fields) == ("r1", "local://default/a", ["roles[0].args"])
    assert conflict.problems == []
    assert errors.InvalidJob(PROBLEMS, subject="file").problems == PROBLEMS
    assert "its options" in str(errors.RequestConflict("r", "h", []))


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        ("echo", ["sh", "ecko", "echos", "touch"], "; did you mean echos or ecko?"),
        ("x", ["b", "a"], "; there are: a, b"),
        ("x", [], ""),
        ("zzzzzz", [f"name{n}" for n in range(13)], ""),
        ("name1", [f"name{n}x" for n in range(13)], "; did you mean name1x or name12x or name11x?"),
        ("", ["a"], "; there are: a"),
    ],
)
def test_suggestion(name: str, known: list[str], end: str) -> None:
    assert errors.suggestion(name, known) == end
    assert errors.suggestion(name, iter(known)) == end


class _Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_shown() -> None:
    assert errors.shown("a\nb") == r"'a\nb'"
    assert errors.shown("x" * 100) == "'" + "x" * 56 + "..."
    assert errors.shown("x" * 100, 200) == "'" + "x" * 100 + "'"
    assert errors.shown(_Odd()) == "<_Odd>"
    assert errors.shown(10**5000) == "<int>"


@given(st.text() | st.binary() | st.lists(st.integers()), st.integers(10, 100))
def test_shown_is_never_longer_than_asked_for(value: object, limit: int) -> None:
    assert len(errors.shown(value, limit)) <= limit


def test_an_os_error_is_one_line_with_a_remedy() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/home/x")

    assert errors.describe_os_error(full, "write", {errno.ENOSPC: "free some"}) == (
        "can't write /home/x: No space left on device; free some"
    )
    assert errors.describe_os_error(OSError("odd"), "read") == "can't read: odd"
