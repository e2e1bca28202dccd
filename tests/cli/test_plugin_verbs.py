"""Verbs that other packages add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import helpers

from .conftest import xrun

Install = Callable[..., dict[str, str]]

VERB = """
import click

@click.command()
@click.argument("words", nargs=-1)
@click.option("--loud", is_flag=True)
def top(words, loud):
    "Shows the busiest jobs."
    click.echo(" ".join(words).upper() if loud else " ".join(words))
"""


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Makes a package with verbs and gives the environment in which it is installed."""

    def put(code: str, *entry_points: str) -> dict[str, str]:
        lines = "\n".join(["[xrun.cli.commands]", *entry_points])
        helpers.install(tmp_path, "acme_pkg", lines + "\n", version="2.5", acme_pkg=code)
        return {"PYTHONPATH": str(tmp_path), "XRUN_CONFIG": ""}

    return put


def test_a_plugins_verb_is_run_as_ours_are(install: Install) -> None:
    env = install(VERB, "top = acme_pkg:top")
    assert xrun("top", "a b", "--loud", env=env).stdout == "A B\n"
    assert "Shows the busiest jobs." in xrun("top", "--help", env=env).stdout
    wrong = xrun("top", "--quiet", env=env)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("xrun: [XR070] No such option")


def test_it_hides_none_of_ours_and_no_component(install: Install) -> None:
    env = install(VERB, "status = acme_pkg:top", "utils.echo = acme_pkg:top")
    assert "Show where the job of HANDLE is" in xrun("status", "--help", env=env).stdout
    assert xrun("utils.echo", "--msg", "hello", env=env).stdout == "hello\n"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("acme_pkg:missing", "can't be loaded: AttributeError"),
        ("acme_absent:top", "can't be loaded: ModuleNotFoundError"),
        ("acme_pkg:click", "is no click.Command"),
    ],
)
def test_one_that_is_broken_says_why(install: Install, target: str, said: str) -> None:
    done = xrun("top", "x", env=install(VERB, f"top = {target}"))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "plugin 'top'" in line
    assert said in line
