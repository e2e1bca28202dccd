"""Bad input: one line on stderr, nothing on stdout, the right exit code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import install
from xrun.cli import main
from xrun.cli.explanations import load

from .conftest import xrun

NOWHERE = "local://default/none-aaaaa"
KNOWN = load()


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (["utils.ehco"], 2, ["unknown component 'utils.ehco'", "utils.echo"]),
        (["utils.echoo", "--msg", "x"], 2, ["utils.echo"]),
        (["dist.ddp"], 2, ["script"]),
        (["utils.copy"], 2, ["--src", "--dst"]),
        (["utils.echo", "--num_replicas", "x"], 2, ["num_replicas", "'x' is not a whole number"]),
        (["utils.echo", "--mgs", "x"], 2, ["'--mgs'", "--msg"]),
        (["utils.echo", "word"], 2, ["takes only options"]),
        (["dist.ddp", "--script", "nope.py"], 3, ["there is no file nope.py"]),
        (["utils.python", "--script", "nope.py"], 3, ["there is no file nope.py"]),
        (["-s", "slrm", "utils.echo"], 2, ["unknown scheduler 'slrm'", "did you mean slurm?"]),
        (["-cfg", "grace_perid=3", "utils.echo"], 2, ["unknown option 'grace_perid'", "grace_period"]),
        (["-cfg", "grace_period=x", "utils.echo"], 2, ["grace_period", "not a number"]),
        (["-cfg", "nonsense", "utils.echo"], 2, ["key=value"]),
        (["--nonsense", "utils.echo"], 2, ["--nonsense"]),
        (["status", "--nonsense", NOWHERE], 2, ["--nonsense"]),
        (["stauts"], 2, ["'stauts'", "did you mean status?"]),
        (["run"], 2, ["no component"]),
        (["status"], 2, ["HANDLE"]),
        (["status", NOWHERE], 5, ["no such job", NOWHERE]),
        (["wait", NOWHERE], 5, ["no such job"]),
        (["log", NOWHERE], 5, ["no such job"]),
        (["cancel", NOWHERE], 5, ["no such job"]),
        (["delete", NOWHERE], 5, ["no such job"]),
        (["status", "none-aaaaa"], 2, ["is not a handle", "scheduler://session/app_id"]),
        (["log", "local://"], 2, ["is not a handle"]),
        (["status", "slrm://default/x"], 2, ["unknown scheduler"]),
        (["utils.echo", "--num_replicas", "0"], 3, ["XR007"]),
        (["--detach", "--log", "utils.echo"], 2, ["--detach"]),
        (["nope.py:fn"], 2, ["nope.py"]),
        (["no.such.module:fn"], 2, ["no.such.module"]),
        (["log", "--since", "yesterday", NOWHERE], 2, ["yesterday"]),
        (["log", "--regex", "(", NOWHERE], 2, ["regular expression"]),
        (["-s", "memory", "dist.ddp", "-m", "x", "--mounts", "type=bind,src=/a,dst=/b"], 3, ["XR044"]),
    ],
)
def test_one_line_and_the_right_code(words: list[str], code: int, texts: list[str]) -> None:
    done = xrun(*words)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for text in texts:
        assert text in done.stderr
    codes = re.findall(r"\[(XR\d{3})\]", done.stderr)
    assert re.match(r"xrun: (\[XR\d{3}\] |the job has a problem: \[XR\d{3}\] )", done.stderr)
    assert {KNOWN[each].exit for each in codes} == {code}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["utils.echo", "--msg"], "XR036"),
        (["utils.echo", "--msg", "--image"], "XR036"),
        (["utils.echo", "--msg", "a", "--msg", "b"], "XR036"),
        (["dist.ddp", "--no-debug=1", "-m", "x"], "XR036"),
        (["dist.ddp", "-m", "x", "--script", "y"], "XR034"),
        (["utils.python"], "XR034"),
        (["utils.sh"], "XR034"),
        (["utils.copy", "--src", "a"], "XR034"),
        (["dist.ddp", "-m", "x", "-j", "0x2"], "XR035"),
        (["dist.ddp", "-m", "x", "-j", "4:2x2"], "XR035"),
        (["dist.spmd", "-m", "x", "-j", "x"], "XR035"),
        (["dist.spmd", "-m", "x", "-h", "cpu.small"], "XR035"),
        (["dist.spmd", "-m", "x", "-h", "nope"], "XR078"),
        (["utils.sh", "--mounts", "type=nfs,src=/a,dst=/b", "--", "true"], "XR037"),
        (["utils.sh", "--mounts", "type=bind,src=/a", "--", "true"], "XR037"),
        (["utils.sh", "--mounts", "type=device,src=/a,readonly", "--", "true"], "XR037"),
        (["--workspace", "a=.,b=.", "utils.echo"], "XR039"),
        (["utils.sh", "--cpu", "many", "--", "true"], "XR073"),
        ([":fn"], "XR071"),
        (["nope.py:fn"], "XR071"),
        (["no.such.module:fn"], "XR071"),
        (["xrun.specs:nope"], "XR071"),
        (["xrun.specs:AppDef"], "XR074"),
        (["stauts"], "XR071"),
        (["-s", "locla", "utils.echo"], "XR075"),
        (["list", "-s", "locla"], "XR075"),
        (["doctor", "-s", "locla"], "XR075"),
        (["runopts", "locla"], "XR075"),
        (["log", "local://default/a/b/c"], "XR072"),
        (["wait", "--timeout", "soon", NOWHERE], "XR070"),
    ],
)
def test_a_cause_has_its_code(words: list[str], code: str) -> None:
    done = xrun(*words)
    assert done.returncode == KNOWN[code].exit
    assert done.stderr.startswith(f"xrun: [{code}] "), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "utils.echo",
        "-s slurm utils.echo",
        "--workspace . utils.echo",
        "-s slurm --workspace . utils.echo",
        "-s docker --workspace . utils.sh --image x -- true",
        "-s kubernetes --workspace . utils.sh --image x -- true",
    ],
)
def test_the_current_folder_is_gone(tmp_path: Path, words: str) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m xrun {words}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (3, 4), done.stderr
    assert re.fullmatch(r"xrun: .*the current folder is gone.*change to another one.*\n", done.stderr)


def test_two_problems_in_one_job_are_both_shown(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from xrun.specs import AppDef, Role\n"
        "def broken() -> AppDef:\n"
        '    """Two problems."""\n'
        '    return AppDef("a", [Role("r", num_replicas=0, env={"XRUN_X": "1"})])\n'
    )
    done = xrun("jobs.py:broken", cwd=tmp_path)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    for code in ("XR006", "XR007", "XR012"):
        assert code in done.stderr


def test_a_component_that_complains_is_quoted_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from xrun.specs import AppDef\n"
        "def picky(n: int) -> AppDef:\n"
        '    """Takes even numbers."""\n'
        '    raise ValueError(f"{n} is odd")\n'
    )
    done = xrun("jobs.py:picky", "--n", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "3 is odd" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_error_in_a_component_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        'from xrun.specs import AppDef\ndef buggy() -> AppDef:\n    """Divides."""\n    return 1 / 0\n'
    )
    done = xrun("jobs.py:buggy", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "[XR032]" in done.stderr
    assert "jobs.py:4: ZeroDivisionError: division by zero" in done.stderr


def test_a_bug_keeps_its_traceback_and_exits_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main.cli, "main", broken)
    assert main._run(["list"]) == 70
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError" in said


def test_a_plugin_that_fails_to_import_hurts_nobody_else(tmp_path: Path) -> None:
    install(
        tmp_path,
        "broken",
        "[xrun.schedulers]\nbad = broken_plugin:create\n[xrun.components]\nbadc = broken_plugin:fn\n"
        "[xrun.named_resources]\nbox = broken_plugin:box\n",
        broken_plugin="raise RuntimeError('no luck')\n",
    )
    env = {"PYTHONPATH": str(tmp_path)}
    assert xrun("utils.echo", "--msg", "hi", env=env).stdout == "hi\n"
    listed = xrun("builtins", env=env)
    assert listed.returncode == 0
    assert "utils.echo" in listed.stdout
    asked = xrun("-s", "bad", "utils.echo", env=env)
    assert asked.returncode == 2
    assert "no luck" in asked.stderr
    assert len(asked.stderr.splitlines()) == 1
    component = xrun("badc.fn", env=env)
    assert component.returncode == 2
    assert "no luck" in component.stderr
