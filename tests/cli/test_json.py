"""Every verb that answers does so in JSON of its schema: the real answers of real commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import click
import jsonschema
import pytest

from xrun.cli import schemas
from xrun.cli.answers import ANSWERS
from xrun.cli.main import VERBS
from xrun.specs.schema import schema_of

from .conftest import xrun

JOB = "jobs.py:greet"
CODE = """
from xrun.specs import AppDef, Role, BindMount

def greet(code: int = 0) -> AppDef:
    "Says hello and exits."
    args = ["-c", f"echo hello; exit {code}"]
    return AppDef("greet", [Role("r", entrypoint="sh", args=args, secrets={"TOKEN": "env:PATH"}, num_replicas=2)])
"""

ANSWER_BY_ITSELF = {
    "completion": "a shell reads it",
    "configure": "it writes TOML; --schema prints JSON Schema",
    "log": "it is the job's own output",
}
"""Verbs without an answer of ours, and why."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a component."""
    (tmp_path / "jobs.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def job(folder: Path) -> str:
    """The handle of a job that has succeeded."""
    done = xrun("--wait", JOB, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


Words = Callable[[str], list[str]]

CASES: list[tuple[str, str, int, Words]] = [
    ("run", "submitted", 0, lambda job: ["run", "--detach", "--json", JOB]),
    ("run", "dryrun", 0, lambda job: ["run", "--dryrun", "--json", JOB]),
    ("run", "status", 0, lambda job: ["run", "--json", JOB]),
    ("run", "status", 1, lambda job: ["run", "--json", JOB, "--code", "3"]),
    ("render", "dryrun", 0, lambda job: ["render", "--json", JOB]),
    ("check", "check", 0, lambda job: ["check", "--json", JOB]),
    ("check", "check", 0, lambda job: ["check", "--json", "--server", "-s", "local", "-s", "memory", JOB]),
    ("check", "check", 3, lambda job: ["check", "--json", "utils.echo", "--num_replicas", "0"]),
    ("status", "status", 0, lambda job: ["status", "--json", job]),
    ("wait", "status", 0, lambda job: ["wait", "--json", job]),
    ("list", "list", 0, lambda job: ["list", "--json"]),
    ("rerun", "submitted", 0, lambda job: ["rerun", "--detach", "--json", job]),
    ("rerun", "dryrun", 0, lambda job: ["rerun", "--dryrun", "--json", job]),
    ("rerun", "status", 1, lambda job: ["rerun", "--json", "--with", "code=3", job]),
    ("describe", "describe", 0, lambda job: ["describe", "--json", job]),
    ("cancel", "cancel", 0, lambda job: ["cancel", "--json", job]),
    ("delete", "delete", 0, lambda job: ["delete", "--json", job]),
    ("builtins", "builtins", 0, lambda job: ["builtins", "--json"]),
    ("runopts", "runopts", 0, lambda job: ["runopts", "--json"]),
    ("doctor", "doctor", 0, lambda job: ["doctor", "--json"]),
    ("explain", "explain", 0, lambda job: ["explain", "--json", "XR012"]),
]
"""Verb, schema, exit code, words."""


@pytest.mark.parametrize(("verb", "schema", "code", "words"), CASES)
def test_an_answer_is_of_its_schema(verb: str, schema: str, code: int, words: Words, job: str, folder: Path) -> None:
    given = words(job)
    done = xrun(*given, cwd=folder)

    assert given[0] == verb
    assert done.returncode == code, done.stderr
    assert done.stdout.count("\n") == 1
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    jsonschema.validate(answer, schemas.document(schema))
    jsonschema.validate(answer, schema_of(ANSWERS[schema]))  # the shape as it is today: no key that isn't documented


def test_every_verb_that_answers_has_a_case() -> None:
    with_json = {verb for verb in VERBS if _has_json(verb)}

    assert with_json == {verb for verb, *_ in CASES}
    assert VERBS.keys() - with_json == ANSWER_BY_ITSELF.keys()


def test_every_answer_has_a_case() -> None:
    of_files = {"app", "config", "job"}

    assert {schema for _, schema, *_ in CASES} == schemas.SCHEMAS.keys() - of_files


def test_json_stays_json_when_there_is_nothing(folder: Path) -> None:
    assert json.loads(xrun("list", "--json").stdout)["apps"] == []
    assert json.loads(xrun("builtins", "--json", "nothing").stdout)["components"] == []


def _has_json(verb: str) -> bool:
    module, _, name = VERBS[verb][0].partition(":")
    command: click.Command = getattr(import_module(module), name)
    return any("--json" in parameter.opts for parameter in command.params)
