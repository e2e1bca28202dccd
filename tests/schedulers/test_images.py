"""What schedulers of containers ask of a role."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrun.schedulers import images
from xrun.specs.role import SCRIPT, Role
from xrun.specs.workspace import Workspace


def script(name: str, sources: dict[str, str]) -> Role:
    return Role("main", entrypoint="python", metadata={SCRIPT: name}, workspace=Workspace(sources))


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("train.py", "util.py"),
        ("./train.py", "../train.py"),
        ("lib/util.py", "train"),
        ("/opt/train.py", "lib/train.py"),
    ],
)
def test_a_script_must_be_in_a_folder_of_the_workspace(tmp_path: Path, good: str, bad: str, there: bool) -> None:
    for folder, file in (("code", "train.py"), ("more", "util.py")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("")
    role = script(good if there else bad, {str(tmp_path / "code"): "", f"file://{tmp_path}/more": "lib"})
    assert [problem.code for problem in images.missing_scripts([role])] == ([] if there else ["XR051"])


def test_what_is_fetched_from_elsewhere_is_not_looked_at(tmp_path: Path) -> None:
    role = script("train.py", {str(tmp_path): "", "memory://code": "lib"})
    assert list(images.missing_scripts([role])) == []
