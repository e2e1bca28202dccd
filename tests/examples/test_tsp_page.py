"""docs/write-a-scheduler.md holds examples/tsp, all of it and as it is, and what it shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "write-a-scheduler.md").read_text()
EXAMPLE = ROOT / "examples" / "tsp"

COMMANDS = """\
$ xrun -s tsp --request-id first utils.sh 'sleep 1; echo done'
tsp://default/sh-v8x5u
$ xrun -s tsp --request-id second utils.echo --msg 'my turn'
tsp://default/echo-tdt1b
$ xrun -s tsp --request-id second utils.echo --msg 'my turn'
tsp://default/echo-tdt1b
$ xrun log tsp://default/echo-tdt1b --follow
my turn
$ xrun log tsp://default/sh-v8x5u
done
"""

QUESTION = ', lambda: rows("queued", "running")'
FAILURE = """\
E       AssertionError: state: FAILED (lost before it began)
E           main/0: FAILED
E           main/1: FAILED
E           main/2: FAILED
"""

needs_tsp = pytest.mark.skipif(
    not shutil.which("tsp"), reason="there is no task-spooler here: apt-get install task-spooler"
)


def blocks(language: str) -> list[str]:
    fences = [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
    return [token.content for token in fences if token.info.split()[0] == language]


def test_the_code_is_the_example_and_all_of_it() -> None:
    source = (EXAMPLE / "xrun_tsp.py").read_text()
    at = 0
    for block in blocks("python"):
        if not block.startswith("# test_contract.py"):
            # methods stand on the page as they would by themselves
            method = textwrap.indent(block, "    ").replace("\n\n\n", "\n\n")
            text = block if block in source else method
            found = source.find(text, at)
            assert source[at:found].strip() == "", f"left out, or another order: {source[at:found]}"
            assert found >= 0, f"not in the example:\n{block}"
            at = found + len(text)
    assert source[at:].strip() == ""


@pytest.mark.parametrize(
    ("language", "name"), [("ini", "setup.cfg"), ("toml", "pyproject.toml"), ("python", "test_contract.py")]
)
def test_the_other_files_are_on_the_page(language: str, name: str) -> None:
    assert f"# {name}\n{(EXAMPLE / name).read_text()}" in blocks(language)


def test_the_scheduler_has_less_than_100_lines() -> None:
    assert len((EXAMPLE / "xrun_tsp.py").read_text().splitlines()) < 100


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of a user: the package installed (`pip install .`), home and queue of their own."""
    shutil.copytree(EXAMPLE, tmp_path / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(site), "."], cwd=tmp_path / "source", check=True)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONPATH": str(site),
        "XRUN_HOME": str(tmp_path / "home"),
        "TS_SOCKET": str(tmp_path / "socket"),
    }


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path) -> Callable[[str], str]:
    def run(command: str) -> str:
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run


@needs_tsp
def test_the_commands_print_what_the_page_says(shell: Callable[[str], str]) -> None:
    assert COMMANDS in blocks("console")
    try:
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", COMMANDS, re.MULTILINE):
            assert shell(command) == output
        handle = shell("xrun -s tsp utils.echo --msg hello").strip()  # examples/tsp/README.md
        assert shell(f"xrun log {handle} --follow") == "hello\n"
        assert f"[{handle.rpartition('/')[2]}]" in shell("tsp")
    finally:
        shell("tsp -K")


@needs_tsp
def test_the_mistake_fails_as_the_page_says(environment: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "site" / "xrun_tsp.py"
    assert QUESTION in source.read_text()
    source.write_text(source.read_text().replace(QUESTION, ""))
    shutil.copy(EXAMPLE / "test_contract.py", tmp_path)
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "test_contract.py", "-k", "all_exit_0"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert FAILURE in done.stdout
    assert FAILURE in blocks("text")[0]
