"""The schema of xrun.toml against the parser that is really used."""

from __future__ import annotations

import tomllib
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xrun.components import find
from xrun.runner import config
from xrun.runner.config.schema import config_schema
from xrun.runner.config.template import template, value_text

from .conftest import Write
from .test_config import WRONG, WRONG_WHEN_USED

CHECK = jsonschema.Draft202012Validator(config_schema())

FULL = """
[run]
component = "utils.echo"
scheduler = {env = "S", default = "local"}
workspace = "."
profile = "a.b"

[schedulers.local]
grace_period = 3
gpus = {env = "GPUS", default = 1}
inherit_env = false

[schedulers.local_cwd]
max_runtime = 1.5

[components."dist.ddp"]
j = "1x2"
env = {A = "1"}
mounts = ["type=bind,src=/a,dst=/b"]
max_retries = 1

[components."jobs.py:train"]
anything = 1

[named_resources.box]
cpu = 1.5
gpu = 2
memMB = 3
devices = {"vpc.amazonaws.com/efa" = 4}

[profiles."a.b".schedulers.memory]
image = "x"
"""


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema(with_plugins=True))


def test_a_full_file(write: Write) -> None:
    CHECK.validate(tomllib.loads(FULL))
    write(FULL)
    assert config.load().check() == []


@pytest.mark.parametrize("text", [text for text, _, code in WRONG + WRONG_WHEN_USED if code in ("XR061", "XR062")])
def test_what_the_parser_refuses_the_schema_refuses(text: str) -> None:
    beyond = "nan" in text or "lcoal" in text  # ranges and what is installed are the parser's
    assert beyond or not CHECK.is_valid(tomllib.loads(text))


NAMES = st.sampled_from(
    ["env", "default", "j", "msg", "cpu", "cpus", "grace_period", "gpus", "image", "component", "x"]
)
VALUES: Any = st.recursive(
    st.none().map(lambda _: "x")
    | st.booleans()
    | st.integers(0, 9)
    | st.floats(0, 9)
    | st.sampled_from(["", "1", "PATH"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    section=st.sampled_from(
        ["run", "schedulers.local", 'components."utils.echo"', 'components."dist.ddp"', "named_resources.x"]
    ),
    table=TABLES,
)
def test_what_the_schema_takes_the_parser_takes(write: Write, section: str, table: dict[str, Any]) -> None:
    text = f"[{section}]\n" + "".join(f"{key} = {value_text(value)}\n" for key, value in table.items())
    if not CHECK.is_valid(tomllib.loads(text)):
        return
    write(text)
    problems = config.load().check()
    assert [str(p) for p in problems if p.code != "XR063"] == []


def test_every_line_of_the_template_is_right(write: Write) -> None:
    text = template(["local", "memory"])
    write(text)
    assert config.load().check() == []
    lines = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in text.splitlines()]
    path = write("\n".join(line for line in lines if not line.startswith(("Any value", "The command"))))
    assert len(path.read_text().splitlines()) > 25
    assert config.load().check() == []
    CHECK.validate(tomllib.loads(path.read_text()))


def test_every_builtin_parameter_is_in_it() -> None:
    table = config_schema()["properties"]["components"]["properties"]["dist.ddp"]["properties"]
    assert set(table) == {p.name for p in find("dist.ddp").parameters}
    assert table["max_retries"]["description"]
