"""Every problem that a job can have: each code by the job that has exactly it, and any value in any field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.specs import jobs
from xrun.specs.app import AppDef, clone
from xrun.specs.identity import spec_hash
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.problems import Problem, Severity
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.serialize import from_dict, from_json, from_yaml, to_dict, to_json, to_yaml
from xrun.specs.validation import MAX_ARGUMENT, MAX_DEPTH, MAX_VALUES, validate
from xrun.specs.workspace import Workspace

TORCHX = "torchrun --rdzv_endpoint $${${rank0_env}:=localhost}:29500"


def app(*roles: Any, **fields: Any) -> AppDef:
    return AppDef(**{"name": "job", "roles": list(roles), **fields})


def role(**fields: Any) -> Role:
    made = Role("trainer", entrypoint="python")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def one(**fields: Any) -> AppDef:
    return app(role(**fields))


def only(job: AppDef) -> Problem:
    found = validate(job)
    assert len(found) == 1, found
    return found[0]


CASES: list[tuple[str, AppDef, str, str, str]] = [
    ("XR001", app(role(), name="  "), "name", "the app's name is '  '", "give it a short"),
    ("XR001", app(role(), name=None), "name", "the app's name is None", "give it a short"),
    ("XR002", app(), "roles", "no roles", "at least one Role"),
    ("XR003", one(primary=False), "roles", "no role is primary", "primary=True"),
    ("XR004", app(role(), role(name="Trainer")), "roles", "'trainer', 'Trainer'", "differ in more than"),
    ("XR004", app(role(name="a.b"), role(name="a-b"), role(name="x")), "roles", "'a.b', 'a-b'", "differ in more"),
    ("XR005", one(name="-x"), "roles[0].name", "'-x' can't be a role's name", "1 to 63 letters"),
    ("XR005", one(name="a\n"), "roles[0].name", r"'a\n' can't be", "1 to 63 letters"),
    ("XR005", one(name="a" * 64), "roles[0].name", "'aaa", "1 to 63 letters"),
    ("XR005", one(name="a/b"), "roles[0].name", "'a/b' can't be", "1 to 63 letters"),
    ("XR005", one(name="é"), "roles[0].name", "'é' can't be", "1 to 63 letters"),
    ("XR005", one(name=7), "roles[0].name", "7 can't be", "1 to 63 letters"),
    ("XR006", one(entrypoint=""), "roles[0].entrypoint", "no entrypoint", "name the program"),
    ("XR006", one(entrypoint="<MISSING>"), "roles[0].entrypoint", "no entrypoint", "name the program"),
    ("XR007", one(num_replicas=0), "roles[0].num_replicas", "0 replicas", "at least 1"),
    ("XR008", one(min_replicas=0), "roles[0].min_replicas", "min_replicas is 0", "at least 1, or None"),
    ("XR009", one(num_replicas=2, min_replicas=3), "roles[0].min_replicas", "3 is more than num_replicas 2", "to 2"),
    ("XR010", one(max_retries=-1), "roles[0].max_retries", "max_retries is -1", "0 means no retry"),
    ("XR011", one(env={"A-B": "x"}), "roles[0].env", "'A-B' can't be the name", "not a digit first"),
    ("XR011", one(env={"1A": "x"}), "roles[0].env", "'1A' can't be", "not a digit first"),
    ("XR011", one(env={"A\n": "x"}), "roles[0].env", r"'A\n' can't be", "not a digit first"),
    ("XR011", one(env={"": "x"}), "roles[0].env", "'' can't be", "not a digit first"),
    ("XR011", one(env={"É": "x"}), "roles[0].env", "'É' can't be", "not a digit first"),
    ("XR011", one(env={3: "x"}), "roles[0].env", "3 can't be", "not a digit first"),
    ("XR011", one(secrets={"A B": "env:X"}), "roles[0].secrets", "'A B' can't be", "not a digit first"),
    ("XR012", one(env={"XRUN_ROLE": "x"}), "roles[0].env.XRUN_ROLE", "XRUN_ROLE is reserved", "another name"),
    ("XR012", one(secrets={"XRUN_X": "env:X"}), "roles[0].secrets.XRUN_X", "XRUN_X is reserved", "another name"),
    ("XR013", one(secrets={"T": "hunter2"}), "roles[0].secrets.T", "not a reference", "env:NAME, file:PATH"),
    ("XR013", one(secrets={"T": "env:A-B"}), "roles[0].secrets.T", "not a reference", "env:NAME, file:PATH"),
    ("XR013", one(secrets={"T": "file:"}), "roles[0].secrets.T", "not a reference", "env:NAME, file:PATH"),
    ("XR013", one(secrets={"T": "file:/a\0b"}), "roles[0].secrets.T", "not a reference", "env:NAME, file:PATH"),
    ("XR013", one(secrets={"T": "k8s:db"}), "roles[0].secrets.T", "not a reference", "k8s:secret/key"),
    ("XR013", one(secrets={"T": None}), "roles[0].secrets.T", "not a reference", "env:NAME, file:PATH"),
    ("XR014", one(env={"T": ""}, secrets={"T": "env:T"}), "roles[0].secrets.T", "by env and by secrets", "one of"),
    ("XR015", one(port_map={"http": 0}), "roles[0].port_map.http", "0 is not a port", "1 to 65535"),
    ("XR015", one(port_map={"http": 65536}), "roles[0].port_map.http", "65536 is not", "1 to 65535"),
    ("XR015", one(port_map={"http": "80"}), "roles[0].port_map.http", "'80' is not", "1 to 65535"),
    ("XR015", one(port_map={"http": True}), "roles[0].port_map.http", "True is not", "1 to 65535"),
    ("XR016", one(port_map={"a": 80, "b": 80}), "roles[0].port_map.b", "port 80 is also 'a'", "one name"),
    ("XR017", one(mounts=["/data"]), "roles[0].mounts[0]", "str is no mount", "use BindMount, VolumeMount or"),
    ("XR018", one(mounts=[BindMount("", "/b")]), "roles[0].mounts[0].src_path", "a source and a dest", "set both"),
    ("XR018", one(mounts=[VolumeMount("v", "")]), "roles[0].mounts[0].dst_path", "a source and a dest", "set both"),
    (
        *("XR019", one(mounts=[BindMount("/a", "/c"), VolumeMount("v", "/c/")]), "roles[0].mounts[1].dst_path"),
        *("'/c/' is also the destination of mounts[0]", "one thing at one place"),
    ),
    ("XR020", one(mounts=[DeviceMount("/d", "/d", "rx")]), "roles[0].mounts[0].permissions", "'rx' are no", "rwm"),
    ("XR020", one(mounts=[DeviceMount("/d", "/d", "")]), "roles[0].mounts[0].permissions", "'' are no", "rwm"),
    ("XR021", one(resource=Resource(gpu=0.5)), "roles[0].resource.gpu", "gpu is 0.5", "a whole number"),  # type: ignore[arg-type]
    ("XR021", one(resource=Resource(memMB=1e3)), "roles[0].resource.memMB", "memMB is 1000.0", "a whole"),  # type: ignore[arg-type]
    ("XR021", one(resource=Resource(cpu=float("inf"))), "roles[0].resource.cpu", "cpu is inf", "less than 2**63"),
    ("XR021", one(resource=Resource(cpu=float("nan"))), "roles[0].resource.cpu", "cpu is nan", "less than 2**63"),
    ("XR021", one(resource=Resource(memMB=2**63)), "roles[0].resource.memMB", "memMB is 9223", "less than 2**63"),
    ("XR021", one(resource=Resource(devices={"efa": -1})), "roles[0].resource.devices.efa", "-1 devices", "0 or more"),
    ("XR022", one(args=["a", "b\0"]), "roles[0].args[1]", "holds a NUL byte", "base64"),
    ("XR023", one(env={"A": "\ud800"}), "roles[0].env.A", "can't be written as UTF-8", "lone surrogates"),
    ("XR024", one(args=["x" * (MAX_ARGUMENT + 1)]), "roles[0].args[0]", "131072 bytes, more than the 131071", "a file"),
    ("XR024", one(args=["é" * 65536]), "roles[0].args[0]", "131072 bytes", "in a file"),
    ("XR024", one(env={"A": "x" * (MAX_ARGUMENT - 1)}), "roles[0].env.A", "131070 bytes", "in a file"),
    ("XR025", one(args=[TORCHX]), "roles[0].args[0]", "TorchX's nested spelling", '"${XRUN_RANK0_HOST:?}"'),
    ("XR026", one(image="i:${replica_id}"), "roles[0].image", "${replica_id} is only known inside", "args and env"),
    ("XR026", one(metadata={"a": ["${rank0_env}"]}), "roles[0].metadata.a[0]", "${rank0_env} is only", "args and env"),
    ("XR026", one(mounts=[BindMount("/${replica_id}", "/b")]), "roles[0].mounts[0].src_path", "${replica_id}", "args"),
    ("XR027", one(args=["${appid}"]), "roles[0].args[0]", "${appid} is no macro", "write ${app_id}"),
    ("XR027", one(env={"A": "${num_replica}"}), "roles[0].env.A", "${num_replica} is no", "write ${num_replicas}"),
    ("XR028", one(resource=None), "roles[0].resource", "None is a NoneType, not a Resource", "give a Resource"),
    (
        *("XR029", one(workspace=Workspace({"/src": "a/../../b"})), "roles[0].workspace.projects./src"),
        *("'a/../../b' is outside the job's working directory", 'or "" for itself'),
    ),
    ("XR029", one(workspace=Workspace({"a": "/b"})), "roles[0].workspace.projects.a", "'/b' is outside", "below it"),
]


@pytest.mark.parametrize(
    ("code", "job", "path", "message", "fix"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)]
)
def test_each_code_has_a_job_with_only_that(code: str, job: AppDef, path: str, message: str, fix: str) -> None:
    problem = only(job)

    assert (problem.code, problem.path) == (code, path)
    assert message in problem.message
    assert fix in problem.fix
    assert problem.severity is (Severity.WARNING if code == "XR027" else Severity.ERROR)
    assert str(problem) == f"[{code}] {path}: {problem.message} ({problem.fix})"


def test_the_codes_have_no_gap() -> None:
    assert sorted({code for code, *_ in CASES} | {"XR030"}) == [f"XR{n:03}" for n in range(1, 31)]


def test_a_valid_job_has_no_problem() -> None:
    assert validate(jobs.full()) == []
    assert validate(one()) == []


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"image": None}, "image", "None is a NoneType, not a string"),
        ({"entrypoint": 1}, "entrypoint", "1 is an int, not a string"),
        ({"args": ("a",)}, "args", "('a',) is a tuple, not a list of strings"),
        ({"args": [b"a"]}, "args[0]", "b'a' is a bytes, not a string"),
        ({"env": None}, "env", "None is a NoneType, not a dict of strings"),
        ({"env": {"A": 1}}, "env.A", "1 is an int, not a string"),
        ({"num_replicas": "2"}, "num_replicas", "'2' is a str, not a whole number"),
        ({"num_replicas": True}, "num_replicas", "True is a bool, not a whole number"),
        ({"num_replicas": 2.0}, "num_replicas", "2.0 is a float, not a whole number"),
        ({"num_replicas": 10**5000}, "num_replicas", "<int> is an int, not a whole number below 2**63"),
        ({"min_replicas": 1.5}, "min_replicas", "1.5 is a float, not a whole number or None"),
        ({"max_retries": None}, "max_retries", "None is a NoneType, not a whole number"),
        ({"retry_policy": "ROLE"}, "retry_policy", "'ROLE' is a str, not a RetryPolicy"),
        ({"resource": "gpu.small"}, "resource", "'gpu.small' is a str, not a Resource"),
        ({"resource": Resource(cpu="2")}, "resource.cpu", "'2' is a str, not a number"),  # type: ignore[arg-type]
        ({"resource": Resource(gpu=True)}, "resource.gpu", "True is a bool, not a number"),
        ({"resource": Resource(devices=["efa"])}, "resource.devices", "['efa'] is a list, not a dict of counts"),  # type: ignore[arg-type]
        ({"resource": Resource(devices={1: 1})}, "resource.devices", "1 is an int, not a string, as every"),  # type: ignore[dict-item]
        ({"resource": Resource(capabilities=None)}, "resource.capabilities", "None is a NoneType, not a"),  # type: ignore[arg-type]
        ({"resource": Resource(tags={"a": {1}})}, "resource.tags.a", "{1} is a set, not plain data"),
        ({"port_map": [80]}, "port_map", "[80] is a list, not a dict of port numbers"),
        ({"port_map": {80: 80}}, "port_map", "80 is an int, not a string, as every key must be"),
        ({"mounts": None}, "mounts", "None is a NoneType, not a list of mounts"),
        ({"mounts": [BindMount("/a", ["/b"])]}, "mounts[0].dst_path", "['/b'] is a list, not a string"),  # type: ignore[arg-type]
        ({"mounts": [BindMount("/a", "/b", "yes")]}, "mounts[0].read_only", "'yes' is a str, not a bool"),  # type: ignore[arg-type]
        ({"mounts": [DeviceMount("/a", "/b", 7)]}, "mounts[0].permissions", "7 is an int, not a string"),  # type: ignore[arg-type]
        ({"metadata": "x"}, "metadata", "'x' is a str, not a dict"),
        ({"metadata": {"a": object}}, "metadata.a", "<class 'object'> is a type, not plain data"),
        ({"metadata": {"a": {1: "x"}}}, "metadata.a", "1 is an int, not a string, as every key must be"),
        ({"metadata": {"a": [float("nan")]}}, "metadata.a[0]", "nan is a float, not plain data"),
        ({"workspace": "."}, "workspace", "'.' is a str, not a Workspace"),
        ({"workspace": Workspace(["."])}, "workspace.projects", "['.'] is a list, not a dict of folders"),  # type: ignore[arg-type]
        ({"workspace": Workspace({".": None})}, "workspace.projects..", "None is a NoneType, not a string"),  # type: ignore[dict-item]
        ({"secrets": None}, "secrets", "None is a NoneType, not a dict of references"),
        ({"primary": 1}, "primary", "1 is an int, not a bool"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(fields: dict[str, Any], path: str, message: str) -> None:
    problem = only(one(**fields))

    assert (problem.code, problem.path) == ("XR028", f"roles[0].{path}")
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("job", "path"),
    [
        (None, "app"),
        ("job", "app"),
        (app(roles=(role(),)), "roles"),
        (app("trainer"), "roles[0]"),
        (app(role(), metadata=None), "metadata"),
        (app(role(), metadata={"a": 1}), "metadata.a"),
    ],
)
def test_a_wrong_type_outside_a_role(job: Any, path: str) -> None:
    problem = only(job)

    assert (problem.code, problem.path) == ("XR028", path)


def test_every_problem_at_once_in_the_order_of_the_fields() -> None:
    bad = Role(
        name="",
        image="\0",
        entrypoint="",
        args=["\0"],
        env={"XRUN_A": "b", "A": "\0"},
        num_replicas=-1,
        min_replicas=-1,
        max_retries=-1,
        retry_policy=None,  # type: ignore[arg-type]
        resource=Resource(cpu=float("nan"), gpu=0.5, devices={"d": -1}, tags=None),  # type: ignore[arg-type]
        port_map={"a": 0},
        mounts=[None],  # type: ignore[list-item]
        metadata={"a": "\0"},
        workspace=Workspace({".": ".."}),
        secrets={"B": "x"},
        primary=None,  # type: ignore[arg-type]
    )
    job = AppDef("", [role(), bad], {"m": "\0"})
    at_role = (
        *("name", "image", "entrypoint", "args[0]", "env.XRUN_A", "env.A", "num_replicas", "min_replicas"),
        *("max_retries", "retry_policy", "resource.cpu", "resource.gpu", "resource.tags", "resource.devices.d"),
        *("port_map.a", "mounts[0]", "metadata.a", "workspace.projects..", "secrets.B", "primary"),
    )

    paths = [p.path for p in validate(job)]

    assert paths == ["name", *(f"roles[1].{path}" for path in at_role), "metadata.m"]
    tops = [path.split(".")[1].split("[")[0] for path in paths if path.startswith("roles[1]")]
    assert list(dict.fromkeys(tops)) == [f.name for f in fields(Role)]


def test_a_secret_put_there_by_mistake_is_never_shown() -> None:
    assert "hunter2" not in str(only(one(secrets={"TOKEN": "hunter2"})))


def test_a_message_stays_short_whatever_the_value() -> None:
    problem = only(one(args=[list(range(10_000))]))

    assert len(str(problem)) < 200
    assert problem.message.startswith("[0, 1, 2, ")


def test_a_key_that_is_hard_to_read_is_quoted_in_the_path() -> None:
    assert only(one(metadata={"a\nb": 1j})).path == r"roles[0].metadata['a\nb']"
    assert len(only(one(env={"A" * 1000: 1})).path) < 100


def test_arguments_of_just_the_longest_size_are_right() -> None:
    assert validate(one(args=["x" * MAX_ARGUMENT], env={"A": "x" * (MAX_ARGUMENT - 2)})) == []


@pytest.mark.parametrize(
    "text",
    [
        *("$${app_idd}", "${HOME}", "$HOME", "${APP_ID}", "${app_id:-x}", "$(app_id)", "{app_id}", "${x}"),
        *("${${rank0_env}:?}", "${${(f)x}}", "$$", "$$${app_id}", "${app_id}${replica_id}"),
    ],
)
def test_text_that_is_no_macro_is_the_users_own(text: str) -> None:
    assert validate(one(args=[text])) == []


def test_a_mistyped_macro_is_said_once_a_text() -> None:
    assert only(one(args=["${appid} ${appid}"])).severity is Severity.WARNING


def test_torchxs_spelling_in_an_image_is_wrong_twice() -> None:
    assert [p.code for p in validate(one(image="$${${rank0_env}}"))] == ["XR025", "XR026"]


def _cycle() -> dict[str, Any]:
    data: dict[str, Any] = {}
    data["self"] = [data, data]
    return data


def _deep(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"a": data}
    return data


def _bomb() -> dict[str, Any]:
    data: list[Any] = ["x"]
    for _ in range(50):
        data = [data] * 10
    return {"a": data}


@pytest.mark.parametrize("make", [_cycle, _bomb, lambda: _deep(100_000), lambda: {"a": [0] * MAX_VALUES}])
@pytest.mark.parametrize("field", ["metadata", "resource"])
def test_metadata_that_never_ends_is_refused_at_once(make: Callable[[], dict[str, Any]], field: str) -> None:
    data = make()
    problem = only(one(**{field: Resource(tags=data) if field == "resource" else data}))

    assert problem.code == "XR030"
    assert problem.path == ("roles[0].resource.tags" if field == "resource" else "roles[0].metadata")
    while isinstance(data.get("a"), dict):  # taken apart by hand: Python's own way is a recursion
        data = data.pop("a")


def test_metadata_of_just_the_largest_size_is_right() -> None:
    assert validate(one(metadata=_deep(MAX_DEPTH))) == []
    assert validate(one(metadata={"a": [0] * (MAX_VALUES - 1)})) == []


class _Hostile:
    """Nothing can be done with it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")

    __hash__ = object.__hash__


_ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**5000, 1j, "", "x", "\0", "\ud800", "${appid}", b"x"),
    *([], {}, (), {1}, [None], {"a": None}, {None: 1}, {10**5000: 1}, {"a": [1j]}, object, Resource(), _Hostile()),
    *(Workspace(None), RetryPolicy.ROLE, BindMount(None, None), role(), _cycle(), [_Hostile()], {"a": _Hostile()}),  # type: ignore[arg-type]
    *({_Hostile(): _Hostile()}, [BindMount([], {})], [DeviceMount("/a", "/b", [1])], [VolumeMount(1, "x")]),  # type: ignore[arg-type]
)
_any = st.sampled_from(_ODD) | jobs.plain


def _mutated(made: Any, changes: dict[str, Any]) -> Any:
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _with_any(make: Callable[[], Any], cls: type) -> st.SearchStrategy[Any]:
    names = st.sampled_from([f.name for f in fields(cls)])
    return st.dictionaries(names, _any, min_size=1, max_size=4).map(lambda changes: _mutated(make(), changes))


_resources = _with_any(Resource, Resource)
_mounts = (
    _with_any(lambda: BindMount("/a", "/b"), BindMount)
    | _with_any(lambda: VolumeMount("a", "/b"), VolumeMount)
    | _with_any(lambda: DeviceMount("/a", "/b"), DeviceMount)
)
_roles = (
    _with_any(role, Role)
    | st.builds(lambda r: role(resource=r), _resources)
    | st.builds(lambda m: role(mounts=m), st.lists(_mounts | _any, max_size=3))
    | st.builds(lambda p: role(workspace=Workspace(p)), _any)
)
_apps = st.lists(_roles | _any, max_size=3).map(lambda r: app(*r)) | _with_any(lambda: app(role()), AppDef) | _any


@given(_apps)
def test_any_value_in_any_field_gives_problems_and_never_an_exception(job: Any) -> None:
    found = validate(job)

    assert all(p.path and p.message and p.fix and len(str(p)) < 600 for p in found)
    if not found:
        assert_usable(job)


@given(jobs.apps | jobs.tame_apps)
def test_a_job_without_errors_can_be_copied_hashed_written_and_read(job: AppDef) -> None:
    if all(p.severity is Severity.WARNING for p in validate(job)):
        assert_usable(job)


def assert_usable(job: AppDef) -> None:
    copied = clone(job)
    assert from_dict(to_dict(copied)) == copied
    assert from_json(to_json(copied)) == copied
    assert from_yaml(to_yaml(copied)) == copied
    assert len(spec_hash(copied, {})) == 64


def test_a_subclass_of_role_is_a_role_and_its_copy_is_a_plain_one() -> None:
    class Trainer(Role):
        pass

    job = app(Trainer("trainer", entrypoint="python"))

    assert validate(job) == []
    assert type(clone(job).roles[0]) is Role


def test_a_subclass_of_a_mount_is_none() -> None:
    class Special(BindMount):
        pass

    assert only(one(mounts=[Special("/a", "/b")])).code == "XR017"
