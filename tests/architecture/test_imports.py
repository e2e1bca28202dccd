"""Starting is quick: what may be imported before it's needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {
    "asyncio",
    "docker",
    "docstring_parser",
    "fsspec",
    "hypothesis",
    "importlib.metadata",
    "inspect",
    "kubernetes",
    "msgspec",
    "multiprocessing",
    "pathspec",
    "platformdirs",
    "pytest",
    "requests",
    "rich",
    "sqlite3",
    "tomlkit",
    "tomllib",
    "torch",
    "typing_extensions",
    "urllib.request",
    "urllib3",
    "yaml",
}

# click itself needs inspect
HELP = HEAVY - {"inspect"}

PRINT_MODULES = "import sys; print('\\n'.join(sorted(sys.modules)))"
SHOW_HELP = """
import sys
sys.argv = ["xrun", *{words!r}]
from xrun.cli.main import main
try:
    main()
except SystemExit:
    pass
"""


def modules_after(code: str) -> set[str]:
    """Names of all modules that a new interpreter has after this code, less those that it starts with."""
    words = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\n{PRINT_MODULES}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return modules_after("")


def test_import_xrun_imports_nothing_else(bare: set[str]) -> None:
    assert modules_after("import xrun") - bare - {"__future__"} == {"xrun"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["status", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(bare: set[str], words: list[str]) -> None:
    modules = modules_after(SHOW_HELP.format(words=words))

    assert not (modules - bare) & HELP


@pytest.mark.parametrize("scheduler", ["docker", "kubernetes"])
@pytest.mark.parametrize("verb", [["render"], ["run", "--dryrun"], ["check"]], ids=" ".join)
def test_a_dry_run_for_containers_needs_no_sdk(bare: set[str], verb: list[str], scheduler: str) -> None:
    words = [*verb, "-s", scheduler, "-cfg", "image=x", "utils.echo"]
    assert not modules_after(SHOW_HELP.format(words=words)) & {"docker", "kubernetes", "requests", "urllib3"}


def test_a_slurm_dry_run_runs_no_command(bare: set[str]) -> None:
    words = ["run", "--dryrun", "-s", "slurm", "utils.echo"]
    assert not modules_after(SHOW_HELP.format(words=words)) & {"subprocess", "xrun.schedulers.slurm.client"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("xrun.errors", {"xrun"}),
        ("xrun.plugins", {"xrun"}),
        ("xrun.specs", {"xrun"}),
        ("xrun.components", {"xrun"}),
        ("xrun.schedulers", {"xrun"}),
        ("xrun.runner", {"xrun"}),
    ],
)
def test_package_imports_no_third_party(bare: set[str], package: str, allowed: set[str]) -> None:
    new = {name.partition(".")[0] for name in modules_after(f"import {package}") - bare}

    assert not {name for name in new if name not in sys.stdlib_module_names} - allowed
