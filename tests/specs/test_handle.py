"""Handles: every part comes back, and what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrun.errors import MalformedHandle
from xrun.specs.handle import LogTarget, ParsedAppHandle, make_app_handle, parse_app_handle, parse_log_target
from xrun.specs.identity import make_app_id

_schedulers = st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True)
_words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:@+=-]{0,20}", fullmatch=True)


@given(_schedulers, _words, _words)
def test_what_is_made_is_parsed(scheduler: str, session: str, app_id: str) -> None:
    handle = make_app_handle(scheduler, session, app_id)

    assert parse_app_handle(handle) == (scheduler, session, app_id)
    assert parse_log_target(handle) == (handle, None, None)


@given(_schedulers, _words, _words, _words, st.lists(st.integers(0, 10**9 - 1), min_size=1))
def test_roles_and_replicas(scheduler: str, session: str, app_id: str, role: str, replicas: list[int]) -> None:
    handle = make_app_handle(scheduler, session, app_id)

    assert parse_log_target(f"{handle}/{role}") == LogTarget(handle, role, None)
    assert parse_log_target(f"{handle}/{role}/{','.join(map(str, replicas))}") == LogTarget(handle, role, replicas)


@given(st.text(), st.text())
def test_the_handle_of_any_app_is_one(name: str, request_id: str) -> None:
    app_id = make_app_id(name, request_id)

    assert parse_app_handle(make_app_handle("local", "", app_id)).app_id == app_id


@pytest.mark.parametrize(
    ("handle", "parts"),
    [
        ("local://default/train-x7f2q", ("local", "default", "train-x7f2q")),
        ("slurm:///job", ("slurm", "default", "job")),
        ("slurm://default/1234", ("slurm", "default", "1234")),
        ("slurm://default/1234_5", ("slurm", "default", "1234_5")),
        ("slurm://a.b-c/1234+0", ("slurm", "a.b-c", "1234+0")),
        ("kubernetes://prod/team-a:train-x7f2q", ("kubernetes", "prod", "team-a:train-x7f2q")),
        ("my_sched-2://s/x", ("my_sched-2", "s", "x")),
    ],
)
def test_parts(handle: str, parts: tuple[str, str, str]) -> None:
    found = parse_app_handle(handle)

    assert found == ParsedAppHandle(*parts)
    assert (found.scheduler_backend, found.session_name, found.app_id) == parts


def test_an_empty_session_is_the_default() -> None:
    assert make_app_handle("slurm", "", "job") == "slurm://default/job"
    assert parse_log_target("slurm:///job/worker/0,2") == ("slurm://default/job", "worker", [0, 2])


NO_HANDLE = (
    *("", "job", "local", "local:", "local:/", "local://", "local:///", "local://default", "local://default/"),
    *("://default/job", "1local://default/job", "lo cal://default/job", "-://default/job", "local:/default/job"),
    *(
        " local://default/job",
        "local://default/job ",
        "local://default/job\n",
        "local://default/jo\nb",
        "local://d\t/job",
    ),
    *("local://default/job\0", "local://default/\x1b[2J", "local://default/jo b", "local://def ault/job"),
    *("local://default/.", "local://default/..", "local://../job", "local://default/.job", "local://default/-rf"),
    *("local://default/job/", "local://default//job", "local://default/job//0", "local://default/é"),
)
NO_TARGET = (
    *(
        "local://default/job/role/",
        "local://default/job/role/,",
        "local://default/job/role/0,",
        "local://a/job/role/,0",
    ),
    *(
        "local://default/job/role/0,,1",
        "local://default/job/role/x",
        "local://default/job/role/-1",
        "local://a/b/c/1.5",
    ),
    *(
        "local://default/job/role/0/1",
        "local://default/job/role/0 1",
        "local://default/job/role/0\n",
        "local://a/b/c/٣",
    ),
    *("local://default/job/../0", "local://default/job/ro le", "local://default/job/role/" + "9" * 5000),
)


@pytest.mark.parametrize("text", [*NO_HANDLE, *NO_TARGET])
def test_what_is_no_handle_is_refused_and_says_the_shape(text: str) -> None:
    for parse in (parse_app_handle, parse_log_target):
        with pytest.raises(MalformedHandle, match="is not a handle: scheduler://session/app_id") as caught:
            parse(text)
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["local://default/job/role", "local://default/job/role/0,1"])
def test_a_role_where_only_an_app_is_meant(text: str) -> None:
    with pytest.raises(MalformedHandle, match="names a role; here only the app is meant"):
        parse_app_handle(text)


@given(st.text())
def test_any_text_is_a_handle_or_refused(text: str) -> None:
    try:
        scheduler, session, app_id = parse_app_handle(text)
    except MalformedHandle:
        return
    assert text in (f"{scheduler}://{session}/{app_id}", f"{scheduler}:///{app_id}")
