"""Completion's answers, as the scripts get them: what they hold, and that they are quick and quiet."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.architecture.test_imports import HEAVY, modules_after
from tests.helpers import install
from xrun.cli import known
from xrun.cli.shells import read_line

from .conftest import xrun

ROOT = Path(__file__).resolve().parents[2]


def answer(*words: str, shell: str = "fish", cwd: Path | None = None, **env: str) -> list[str]:
    """The candidates for the last word, without their help."""
    done = ask(*words, shell=shell, cwd=cwd, **env)
    assert done.returncode == 0
    assert done.stderr == ""
    head, *lines = done.stdout.splitlines()
    return [line.partition("\t")[0] for line in lines] if head == "words" else [head]


def ask(*words: str, shell: str = "fish", cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    line = "\x1f".join(("xrun", *words))
    return xrun(cwd=cwd, env={"_XRUN_COMPLETE": shell, "_XRUN_WORDS": line, "PYTHONPATH": str(ROOT), **env})


def test_the_first_word() -> None:
    found = answer("")
    assert {"run", "status", "completion", "dist.ddp", "utils.echo"} <= set(found)
    assert {"--dryrun", "-s", "-cfg", "--version"} <= set(answer("-"))
    assert answer("statu") == ["status"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["run", "--wait", "dist.d"], ["dist.ddp"]),
        (["--wait", "-s", "local", "dist.d"], ["dist.ddp"]),
        (["run", "--wa"], ["--wait"]),
        (["run", "--wait", "--wa"], []),
        (["-s", ""], ["local", "memory", "docker", "slurm", "kubernetes"]),
        (["list", "--scheduler", "me"], ["memory"]),
        (["-cfg", "max_"], ["max_runtime="]),
        (["-s", "memory", "-cfg", "inherit_env=t"], ["inherit_env=true"]),
        (["-cfg=grace_period=1,grace"], []),
        (["list", "--state", "RUN"], ["RUNNING"]),
        (["dist.ddp", "--debug", "no", "--scri"], ["--script"]),
        (["dist.ddp", "--script", "x.py", "--scri"], []),
        (["dist.ddp", "--no_deb"], ["--no_debug"]),
        (["dist.ddp", "--num"], []),
        (["dist.ddp", "--script", ""], ["files"]),
        (["dist.ddp", "--cpu", ""], []),
        (["dist.ddp", "--debug="], ["--debug=yes", "--debug=no"]),
        (["utils.sh", "--", "--"], ["files"]),
        (["utils.sh", "ls", "-"], ["files"]),
        (["--workspace", ""], ["dirs"]),
        (["utils.nothing", "--"], ["--help"]),
        (["nonsense", "x"], ["files"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["builtins", "--print", "utils.e"], ["utils.echo"]),
        (["builtins", "utils.e"], ["utils.echo"]),
        (["runopts", "mem"], ["memory"]),
        (["check", "-s", "local", "dist.ddp", "--scri"], ["--script"]),
        (["status", "a", ""], []),
    ],
    ids=str,
)
def test_answers(words: list[str], found: list[str]) -> None:
    assert answer(*words) == found


def test_a_file_is_read_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(
        "from xrun.specs import AppDef\nprint('run')\nopen('ran', 'w')\ndef job(x: bool) -> AppDef: ...\n"
    )
    (tmp_path / "my jobs.py").write_text("def job() -> AppDef: ...\n")
    (tmp_path / "evil\x1b[31m.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert answer("jobs.py:", cwd=tmp_path) == ["jobs.py:job"]
    assert answer("jobs.py:job", "--", cwd=tmp_path) == ["--x", "--help"]
    found = answer("", cwd=tmp_path)
    assert {"jobs.py:", "my jobs.py:"} <= set(found)
    assert not [name for name in found if "evil" in name or "notes" in name]
    assert not (tmp_path / "ran").exists()


def test_plugins_are_read_and_not_run(tmp_path: Path) -> None:
    install(
        tmp_path,
        "shop",
        "[xrun.components]\nshop = shop_parts\nshop1 = shop_parts:single\ngone = none.such\n"
        "[xrun.schedulers]\ncrashy = shop_parts:x\n",
        shop_parts="print('loud')\nraise SystemExit(3)\ndef single(lr: float) -> 'AppDef': 'One.'\n",
    )
    path = f"{tmp_path}:{ROOT}"
    assert answer("shop", PYTHONPATH=path) == ["shop.single", "shop1"]
    assert answer("shop.single", "--", PYTHONPATH=path) == ["--lr", "--help"]
    assert "crashy" in answer("-s", "", PYTHONPATH=path)
    assert answer("-s", "crashy", "-cfg", "", PYTHONPATH=path) == []


def test_handles_newest_first_and_roles() -> None:
    handles = [xrun("--detach", "utils.echo", "--num_replicas", "3").stdout.strip() for _ in range(2)]
    for handle in handles:
        assert xrun("wait", handle).returncode == 0
    for verb in ("status", "wait", "log", "cancel", "delete"):
        assert set(answer(verb, "")) == set(handles)
    assert answer("status", handles[0][:-1]) == [handles[0]]
    assert answer("status", handles[0].rpartition("/")[2]) == [handles[0]]
    assert answer("log", f"{handles[0]}/") == [f"{handles[0]}/echo"]
    assert answer("log", f"{handles[0]}/echo/1,") == [f"{handles[0]}/echo/1,0", f"{handles[0]}/echo/1,2"]
    assert answer("log", handles[0], handles[1][:-1]) == [handles[1]]
    assert answer("status", f"{handles[0]}/") == []


def test_profiles_come_from_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "xrun.toml"
    monkeypatch.setenv("XRUN_CONFIG", str(file))
    file.write_text('[run]\nscheduler = "memory"\n[profiles.prod.run]\n[profiles.dev.run]\n')
    assert sorted(known.profiles()) == ["dev", "prod"]
    assert known.default_scheduler() == "memory"
    file.write_text("[run\n")
    assert known.profiles() == []
    assert known.default_scheduler() == "local"


def test_codes_that_can_be_explained() -> None:
    assert answer("explain", "xr07")[:2] == ["XR070", "XR071"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_hostile_words_get_an_answer_and_no_word_on_stderr(shell: str, tmp_path: Path) -> None:
    random.seed(7)
    alphabet = [
        "",
        "-",
        "--",
        "=",
        ":",
        "/",
        "\\",
        "'",
        '"',
        "\n",
        "\t",
        "é",
        "\udcff",
        "a",
        "run",
        "dist.ddp",
        "-cfg",
        "log",
    ]
    (tmp_path / "home").write_text("a file where a folder should be")
    for _ in range(12):
        words = ["".join(random.choices(alphabet, k=3)) for _ in range(random.randint(1, 4))]
        done = ask(*words, shell=shell, XRUN_HOME=str(tmp_path / "home" / "x"))
        assert done.stderr == "", words
        assert done.stdout.split("\n")[0] in ("words", "files", "dirs", ""), words


def test_odd_questions_are_harmless() -> None:
    for env in ({"_XRUN_COMPLETE": "csh"}, {"_XRUN_COMPLETE": "bash"}, {"_XRUN_COMPLETE": "fish", "_XRUN_WORDS": ""}):
        done = xrun(env=env)
        assert done.stderr == ""
        assert "Traceback" not in done.stdout


def test_a_closed_pipe_is_nobodys_business() -> None:
    words = "_XRUN_COMPLETE=fish _XRUN_WORDS=$(printf 'xrun\\037') " + f"{sys.executable} -m xrun"
    done = subprocess.run(["sh", "-c", f"{words} >&-; {words} | true"], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_nothing_heavy_is_imported() -> None:
    new = modules_after(
        "import os\nos.environ['_XRUN_WORDS'] = 'xrun\\x1fdist.ddp\\x1f--'\n"
        "from xrun.cli.shells import SHELLS\nimport click\n"
        "assert '--script' in SHELLS['fish'](click.Command('x'), {}, 'xrun', 'V').complete()"
    )
    allowed = {"inspect"}  # click itself
    assert not (new - modules_after("")) & (HEAVY - allowed)


def test_ten_thousand_jobs_are_no_burden(xrun_home: Path) -> None:
    apps = xrun_home / "local" / "apps"
    for n in range(10_000):
        (apps / f"job-{n:05}").mkdir(parents=True)
    head = {"handle": "local://default/job-00007", "app": {"roles": [{"name": "r"}]}}
    (apps / "job-00007" / "record").write_text(json.dumps(head) + "\n")
    answer("status", "job-00007")
    begin = time.monotonic()
    assert answer("status", "job-00007") == ["local://default/job-00007"]
    assert time.monotonic() - begin < 5  # it takes 0.1 s; a machine that does other things is no failure


def test_the_script_for_the_shell_in_use() -> None:
    assert "compdef" in xrun("completion", env={"SHELL": "/usr/bin/zsh"}).stdout
    refused = xrun("completion", env={"SHELL": "/bin/dash"})
    assert refused.returncode == 2
    assert "dash" in refused.stderr
    assert "bash, zsh, fish" in refused.stderr
    for shell, place in (("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", "completions/xrun.fish")):
        assert place in xrun("completion", "--help").stdout, shell


@pytest.mark.parametrize(
    ("line", "words", "word", "kept", "quote"),
    [
        ("xrun ", [], "", "", ""),
        ("xrun st", [], "st", "", ""),
        ("xrun a  b", ["a"], "b", "", ""),
        ("xrun log local://d", ["log"], "local://d", "local:", ""),
        ("xrun --opt=v", [], "--opt=v", "--opt=", ""),
        ("xrun -cfg a=1,b=", ["-cfg"], "a=1,b=", "a=1,b=", ""),
        ("xrun 'my fi", [], "my fi", "", "'"),
        ('xrun --x="a b', [], "--x=a b", "--x=", '"'),
        (r"xrun my\ fi", [], "my fi", "", ""),
        ("xrun '' x", [""], "x", "", ""),
        ("xrun \"a:b\" 'c=d'e", ["a:b"], "c=de", "", ""),
    ],
)
def test_a_line_of_bash(line: str, words: list[str], word: str, kept: str, quote: str) -> None:
    assert read_line(line, " \t\n\"'><=;|&(:") == (words, word, kept, quote)


def test_a_slow_plugin_does_not_hold_the_shell(tmp_path: Path) -> None:
    install(tmp_path, "slow", "[xrun.schedulers]\nslow = slow_one:create\n", slow_one="import time; time.sleep(60)\n")
    begin = time.monotonic()
    done = ask("-s", "slow", "-cfg", "", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.stderr == ""
    assert time.monotonic() - begin < 30
