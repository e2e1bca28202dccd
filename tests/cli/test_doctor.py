"""``xrun doctor``: real plugins, whole, broken and endless; exit codes; what a terminal gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import helpers

from .conftest import xrun
from .terminals import on_terminal

Install = Callable[..., dict[str, str]]

SCHEDULER = """
from xrun.errors import BackendUnavailable
from xrun.schedulers.api import Probe
from xrun.schedulers.memory.scheduler import MemoryScheduler

class Acme(MemoryScheduler):
    name = "acme"
    def probe(self):
        print("a plugin prints")
        {body}

def create(session, **_):
    return Acme(session)
"""


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Makes a package and gives the environment in which it is installed."""

    def put(code: str, entry_points: str) -> dict[str, str]:
        helpers.install(tmp_path, "acme_pkg", entry_points, version="2.5", acme_pkg=code)
        return {"PYTHONPATH": str(tmp_path), "XRUN_CONFIG": ""}

    return put


def findings(*words: str, env: dict[str, str] | None = None, code: int = 0) -> list[dict[str, Any]]:
    done = xrun("doctor", "--json", *words, env={"XRUN_CONFIG": "", **(env or {})})
    assert done.returncode == code, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def of(found: list[dict[str, Any]], section: str) -> dict[str, dict[str, Any]]:
    return {f["subject"]: f for f in found if f["section"] == section}


def test_everything_is_looked_at_and_works() -> None:
    done = xrun("doctor", env={"XRUN_CONFIG": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    headings = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert headings[:5] == ["xrun", "home", "configuration", "programs", "scheduler local (used)"]
    assert headings[-1] == "what is used works: local"
    assert {"scheduler memory", "extras"} <= set(headings)
    assert "\033" not in done.stdout


def test_lines_are_aligned() -> None:
    lines = xrun("doctor", env={"XRUN_CONFIG": ""}).stdout.splitlines()
    start = lines.index("scheduler local (used)") + 1
    rows = lines[start : start + 4]
    assert all(row.startswith("  ok      ") for row in rows)
    assert len({re.match(r"  ok      (\S+ )+ +", row).end() for row in rows}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return [Probe('tool', True, 'fine')]", 0),
        ("return [Probe('tool', False, 'no tool')]", 4),
        ("raise BackendUnavailable('no route to it')", 8),
        ("raise RuntimeError('no luck')", 4),
        ("raise SystemExit(0)", 4),
        ("import time; time.sleep(1000)", 8),
    ],
)
def test_exit_codes_are_those_of_what_is_used(body: str, code: int, install: Install) -> None:
    env = install(SCHEDULER.format(body=body), "[xrun.schedulers]\nacme = acme_pkg:create\n")
    words = ["--timeout", "3"]
    assert findings(*words, env=env, code=0)
    assert findings(*words, "-s", "acme", env=env, code=code)
    assert findings(*words, env={**env, "XRUN_SCHEDULER": "acme"}, code=code)


def test_what_works_not_and_what_mends_it_is_said(install: Install) -> None:
    env = install(
        SCHEDULER.format(body="return [Probe('tool', False, 'no tool')]"), "[xrun.schedulers]\nacme = acme_pkg:create\n"
    )
    done = xrun("doctor", "-s", "acme", env=env)
    assert done.returncode == 4
    assert "broken: scheduler acme: tool" in done.stdout.splitlines()[-1]
    assert "a plugin prints" not in done.stdout


def test_plugins_of_every_group_with_their_package(install: Install) -> None:
    groups = ["schedulers", "components", "named_resources", "cli.commands"]
    entry_points = "".join(f"[xrun.{group}]\nacme = acme_pkg:create\n" for group in groups)
    found = findings(env=install(SCHEDULER.format(body="return []"), entry_points))
    for group in groups:
        acme = of(found, f"plugins xrun.{group}")["acme"]
        assert acme["verdict"] == "ok"
        assert "acme_pkg 2.5" in acme["detail"]
    assert of(found, "scheduler acme")["loads"]["verdict"] == "ok"


def test_broken_plugins_say_why_and_do_no_harm(install: Install) -> None:
    entry_points = "[xrun.components]\nacme = acme_pkg:fn\n[xrun.schedulers]\nacme = acme_pkg:fn\nodd = acme_pkg:\n"
    found = findings(env=install("raise RuntimeError('no \\033[31mluck')\n", entry_points))
    acme = of(found, "plugins xrun.components")["acme"]
    assert acme["verdict"] == "broken"
    assert "luck" in acme["detail"]
    assert "acme_pkg" in acme["fix"]
    assert of(found, "plugins xrun.schedulers")["odd"]["verdict"] == "broken"
    assert not any(f["used"] for f in found if f["verdict"] != "ok")


def test_a_terminal_obeys_no_plugin(install: Install) -> None:
    env = install("raise RuntimeError('no \\033[31mluck')\n", "[xrun.components]\nacme = acme_pkg:fn\n")
    done = xrun("doctor", env=env)
    assert done.returncode == 0
    assert "\\x1b[31mluck" in done.stdout
    assert "\033" not in done.stdout


def test_a_plugin_that_never_comes_back(install: Install) -> None:
    env = install("import time\ntime.sleep(1000)\n", "[xrun.schedulers]\nacme = acme_pkg:create\n")
    found = findings("--timeout", "1", env=env)
    assert of(found, "scheduler acme")["answer"]["unreachable"] is True
    assert "no answer within 1 s" in of(found, "plugins xrun.schedulers")["acme"]["detail"]


def test_a_plugin_that_never_comes_back_and_is_configured(install: Install, tmp_path: Path) -> None:
    env = install("import time\ntime.sleep(1000)\n", "[xrun.schedulers]\nacme = acme_pkg:create\n")
    (tmp_path / "xrun.toml").write_text("[schedulers.acme]\nx = 1\n")
    env["XRUN_CONFIG"] = str(tmp_path / "xrun.toml")
    done = xrun("doctor", "--timeout", "1", env=env)
    assert done.returncode in (4, 8), done.stdout + done.stderr
    assert "no answer within 1 s" in done.stdout


def test_a_plugin_that_xrun_hides(install: Install) -> None:
    found = findings(env=install("def fn(): ...\n", "[xrun.components]\nutils.echo = acme_pkg:fn\n"))
    hidden = of(found, "plugins xrun.components")["utils.echo"]
    assert hidden["verdict"] == "broken"
    assert "hidden by xrun's own" in hidden["detail"]


def test_damaged_metadata(install: Install, tmp_path: Path) -> None:
    env = install("", "")
    (tmp_path / "acme_pkg-2.5.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[xrun.components]\n")
    found = findings(env=env)
    assert of(found, "plugins xrun.components")["acme_pkg"]["verdict"] == "broken"


def test_files_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "xrun.toml"
    path.write_text("[run]\nschduler = 'local'\n")
    done = xrun("doctor", env={"XRUN_CONFIG": str(path)})
    assert done.returncode == 4
    assert f"{path}:2" in done.stdout
    assert "did you mean scheduler?" in done.stdout


@pytest.mark.parametrize(("words", "text"), [(["-s", "locl"], "did you mean local"), (["--timeout", "x"], "duration")])
def test_what_makes_no_sense(words: list[str], text: str) -> None:
    done = xrun("doctor", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr


@pytest.mark.parametrize("colour", [True, False])
def test_only_a_terminal_gets_colours(colour: bool) -> None:
    code, said = on_terminal("doctor", env={"XRUN_CONFIG": "", **({} if colour else {"NO_COLOR": "1"})})
    assert code == 0
    assert ("\x1b[32mok" in said) is colour
