"""``xrun runopts`` and ``xrun builtins``: what there is, whatever a plugin does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers
from xrun.specs.options import CommonOptions, runopts

from .conftest import xrun

Install = Callable[..., dict[str, str]]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Makes a package and gives the environment in which it is installed."""

    def put(code: str, entry_points: str) -> dict[str, str]:
        helpers.install(tmp_path, "acme", entry_points, version="1.0", acme=code)
        return {"PYTHONPATH": str(tmp_path)}

    return put


OPTIONS = """
from dataclasses import dataclass
from typing import Literal
from xrun.schedulers.memory.scheduler import MemoryScheduler
from xrun.specs.options import CommonOptions, option

@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    grace_period: float = option(60.0, help="longer here")
    partition: str = option(help="where to queue")
    tags: list[str] = option(["a", "b"], help="words")
    labels: dict[str, int] = option({"n": 1}, help="numbers")
    mode: Literal["x", "y"] = option("x", help="how")
    note: str | None = option(None, help="anything")

class Acme(MemoryScheduler):
    name = "acme"
    options_type = Options

def create(session, **_):
    return Acme(session)
"""


def test_common_options_are_listed_once() -> None:
    done = xrun("runopts")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    common = [name for name, _ in runopts(CommonOptions)]

    assert done.returncode == 0, done.stderr
    assert [row[1] for row in rows if row[0] == "(every)"] == common
    assert ["local", "gpus", "int", "-1"] in [row[:4] for row in rows]
    assert all(len(row) == 5 and row[4] for row in rows)
    assert len({(row[0], row[1]) for row in rows}) == len(rows)


def test_options_of_a_plugin_are_shown_as_cfg_takes_them(install: Install) -> None:
    env = install(OPTIONS, "[xrun.schedulers]\nacme = acme:create\n")
    rows = {tuple(line.split("\t")[:2]): line.split("\t")[2:4] for line in xrun("runopts", env=env).stdout.splitlines()}

    assert rows["acme", "partition"] == ["str", "required"]
    assert rows["acme", "tags"] == ["str,...", "a,b"]
    assert rows["acme", "labels"] == ["key=int,...", "n=1"]
    assert rows["acme", "mode"] == ["x|y", "x"]
    assert rows["acme", "note"] == ["str", ""]
    # its default is its own, so that it is not everybody's
    assert rows["acme", "grace_period"] == ["float", "60.0"]
    assert rows["local", "grace_period"] == ["float", "30.0"]
    assert ("(every)", "grace_period") not in rows
    (answer,) = json.loads(xrun("runopts", "acme", "--json", env=env).stdout)["schedulers"]
    options = {option["name"]: option for option in answer["options"]}
    assert options["partition"]["required"] is True
    assert options["partition"]["default"] is None
    assert options["tags"]["default"] == ["a", "b"]
    assert options["grace_period"]["common"] is True
    assert options["mode"]["common"] is False


def test_only_what_is_asked_for() -> None:
    answer = json.loads(xrun("runopts", "--json", "memory").stdout)
    assert [s["scheduler"] for s in answer["schedulers"]] == ["memory"]
    assert "gpus" not in xrun("runopts", "memory").stdout
    assert "gpus" in xrun("runopts", "local_cwd").stdout


def test_an_unknown_scheduler_is_told_its_near_miss() -> None:
    done = xrun("runopts", "locl")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean local?" in done.stderr


@pytest.mark.parametrize(
    "code", ["raise RuntimeError('no luck')\n", "def create(session, **_):\n    raise RuntimeError('no luck')\n"]
)
def test_a_broken_scheduler_is_said_and_the_rest_is_listed(code: str, install: Install) -> None:
    env = install(code, "[xrun.schedulers]\nacme = acme:create\n")
    done = xrun("runopts", env=env)
    assert done.returncode == 0
    assert "gpus" in done.stdout
    assert "no luck" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (broken,) = json.loads(xrun("runopts", "--json", env=env).stdout)["broken"]
    assert broken["name"] == "acme"
    named = xrun("runopts", "acme", env=env)
    assert named.returncode in (2, 4)
    assert "no luck" in named.stderr


def test_builtins_are_filtered_by_their_beginning() -> None:
    assert [line.partition("\t")[0] for line in xrun("builtins", "dist.").stdout.splitlines()] == [
        "dist.ddp",
        "dist.spmd",
    ]
    done = xrun("builtins", "utils.ehco")
    assert (done.returncode, done.stdout) == (0, "")
    assert "did you mean utils.echo" in done.stderr


def test_source_on_demand() -> None:
    assert "def ddp(" in xrun("builtins", "--print", "dist.ddp").stdout
    for words in (["--json"], ["dist."]):
        done = xrun("builtins", "--print", "dist.ddp", *words)
        assert (done.returncode, done.stdout) == (2, "")


def test_a_broken_plugin_of_components_is_said(install: Install) -> None:
    env = install("raise RuntimeError('no luck')\n", "[xrun.components]\nacme = acme\n")
    done = xrun("builtins", env=env)
    assert done.returncode == 0
    assert "utils.echo" in done.stdout
    assert "no luck" in done.stderr
    assert json.loads(xrun("builtins", "--json", env=env).stdout)["broken"] == [
        {"name": "acme", "reason": "RuntimeError: no luck"}
    ]


def test_cancel_and_delete_answer() -> None:
    handle = xrun("--detach", "utils.sh", "sleep", "60").stdout.strip()
    assert json.loads(xrun("cancel", "--json", handle).stdout) == {
        "version": 1,
        "handle": handle,
        "state": "CANCELLED",
        "had_ended": False,
    }
    again = xrun("cancel", handle)
    assert again.stdout == f"{handle}\tCANCELLED\n"
    assert "ended already" in again.stderr
    assert xrun("delete", handle).stdout == f"{handle}\tdeleted\n"
    assert xrun("delete", "--json", handle).returncode == 5
