"""Jobs for the tests: one that uses every field, and hypothesis strategies for any other."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from xrun.specs.app import AppDef
from xrun.specs.mounts import BindMount, DeviceMount, VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.workspace import Workspace

HOSTILE = (
    *(
        "no",
        "Yes",
        "on",
        "~",
        "null",
        "1e3",
        "0x1F",
        "1_000",
        ".5",
        "2024-01-01",
        "1:30:00",
        "-",
        "=",
        "<<",
        "&x",
        "*x",
    ),
    *("!t", "|", ">", "%", "@", "`", "#c", "{}", "[]", "'", '"', "''", '"a', "\\", "\\n", "$", "$(x)", "`x`", "\ufeff"),
    *("${app_id}", "$${app_id}", "é", "\U0001f600", "\x07", "\x1b[0m", "\x7f", "\ufffe"),
    *("", " ", "  lead", "trail ", "- a", "? b", ": c", "a #b", "a: b", "\xa0", "\x85", "\u2028", " \n  b\n"),
    *("a\nb", "\n", "a\n\n", "\ta", "a\t", "a\r\nb", "\r", "a" * 200, "word " * 40, "x\n" * 40),
)
"""Texts that writers and readers of JSON, YAML and shells take for something else."""

_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.sampled_from(HOSTILE) | st.text(_characters, max_size=30)
whole = st.integers(-(2**62), 2**62)
numbers = whole | st.floats(allow_nan=False, allow_infinity=False)
plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
strings = st.dictionaries(texts, texts, max_size=3)
mounts = (
    st.builds(BindMount, texts, texts, st.booleans())
    | st.builds(VolumeMount, texts, texts, st.booleans())
    | st.builds(DeviceMount, texts, texts, texts)
)
resources = st.builds(
    Resource,
    cpu=numbers,
    gpu=whole,
    memMB=whole,
    capabilities=st.dictionaries(texts, plain, max_size=2),
    devices=st.dictionaries(texts, whole, max_size=2),
    tags=st.dictionaries(texts, plain, max_size=2),
)
roles = st.builds(
    Role,
    name=texts,
    image=texts,
    entrypoint=texts,
    args=st.lists(texts, max_size=4),
    env=strings,
    num_replicas=whole,
    min_replicas=st.none() | whole,
    max_retries=whole,
    retry_policy=st.sampled_from(RetryPolicy),
    resource=resources,
    port_map=st.dictionaries(texts, whole, max_size=2),
    mounts=st.lists(mounts, max_size=3),
    metadata=st.dictionaries(texts, plain, max_size=2),
    workspace=st.none() | st.builds(Workspace, strings),
    secrets=strings,
    primary=st.booleans(),
)
apps = st.builds(AppDef, name=texts, roles=st.lists(roles, max_size=2), metadata=strings)
"""Any job whose fields have the right types, valid or not."""

_names = st.from_regex(r"[A-WYZa-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_tame_roles = st.builds(
    Role,
    name=st.sampled_from(["trainer", "Server.1"]),
    image=texts,
    entrypoint=texts.filter(bool),
    args=st.lists(texts, max_size=4),
    env=st.dictionaries(_names, texts, max_size=3),
    resource=resources.map(lambda r: Resource(r.cpu, r.gpu, r.memMB, r.capabilities, {}, r.tags)),
    port_map=st.dictionaries(texts, st.integers(1, 65535), max_size=1),
    mounts=st.lists(st.builds(BindMount, texts.filter(bool), texts.filter(bool), st.booleans()), max_size=1),
    metadata=st.dictionaries(texts, plain, max_size=3),
)
tame_apps = st.builds(
    AppDef, name=texts.filter(str.strip), roles=st.lists(_tame_roles, min_size=1, max_size=1), metadata=strings
)
"""Jobs that are nearly always valid, with hostile texts wherever a text may stand."""


def full() -> AppDef:
    """A valid job that uses every field."""
    trainer = Role(
        name="trainer",
        image="registry/train:1",
        entrypoint="python",
        args=["-m", "train", "--out", "/out/${app_id}", "", "no", "1e3", "two\nlines\t", "'\"", "é \U0001f600"],
        env={"LOG": "debug", "RANK0": "${rank0_env}", "EMPTY": ""},
        num_replicas=4,
        min_replicas=2,
        max_retries=3,
        retry_policy=RetryPolicy.REPLICA,
        resource=Resource(1.5, 8, 4096, {"kubernetes.io/arch": "amd64"}, {"efa": 4}, {"team": "x"}),
        port_map={"http": 8080, "metrics": 9090},
        mounts=[
            BindMount("/data", "/data", read_only=True),
            VolumeMount("cache", "/cache"),
            DeviceMount("/dev/fuse", "/dev/fuse", "rw"),
        ],
        metadata={"kubernetes": {"spec": {"hostIPC": True, "tolerations": [{"key": "gpu"}], "priority": None}}},
        workspace=Workspace({".": "", "../lib": "lib"}),
        secrets={"TOKEN": "env:HOME_TOKEN", "KEY": "file:/run/key", "DB": "k8s:db/password"},
    )
    server = Role(name="server", entrypoint="serve", primary=False, resource=Resource(cpu=1, memMB=512))
    return AppDef("full", [trainer, server], {"owner": "me", "note": "~"})
