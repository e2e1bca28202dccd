"""The files of JSON Schema say what the types say."""

from __future__ import annotations

import os

import jsonschema
import pytest

from xrun.cli import schemas

UPDATE = os.environ.get("XRUN_UPDATE_GOLDEN") == "1"


@pytest.mark.parametrize("name", sorted(schemas.SCHEMAS))
def test_the_file_is_what_the_types_give(name: str) -> None:
    path = schemas.folder() / f"{name}.json"
    if UPDATE:
        path.write_text(schemas.text(name), encoding="utf-8")

    assert path.read_text(encoding="utf-8") == schemas.text(name)


def test_there_is_no_other_file() -> None:
    assert sorted(path.stem for path in schemas.folder().iterdir()) == sorted(schemas.SCHEMAS)


@pytest.mark.parametrize("name", sorted(schemas.SCHEMAS))
def test_a_file_says_what_it_is(name: str) -> None:
    schema = schemas.document(name)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].startswith(f"urn:xrun:schema:{name}")
    assert schema["title"]
    assert schema["description"]
    if name != "config":  # whose own test is in tests/runner
        assert {key for key, value in schema.get("properties", {}).items() if not value.get("description")} == set()


def test_only_answers_let_pass_what_they_do_not_know() -> None:
    closed = {name for name in schemas.SCHEMAS if '"additionalProperties": false' in schemas.text(name)}

    assert closed == {"app", "config", "job"}
    answer = {"version": 1, "handle": "local://default/a-x7f2q", "new": "in a later xrun"}
    jsonschema.validate(answer, schemas.document("submitted"))


def test_an_id_ends_with_the_version_of_the_answer() -> None:
    assert schemas.document("status")["$id"] == "urn:xrun:schema:status:1"
    assert schemas.document("job")["$id"] == "urn:xrun:schema:job:1"
    assert schemas.document("app")["$id"] == "urn:xrun:schema:app"
