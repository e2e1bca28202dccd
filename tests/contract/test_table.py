"""The contract's table says what the suite found: which case was refused, which failed, which did not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests import helpers
from xrun.testing import table
from xrun.testing.table import NOT_RUN, Fact

ROOT = Path(__file__).parents[2]

SUITE = """
import pytest
from xrun.runner import get_runner
from xrun.testing import SchedulerContract

class TestMine(SchedulerContract):
    scheduler = "memory"

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls):
        with get_runner() as runner:
            yield runner

    def test_all_exit_0(self, runner):
        assert False

    def test_tail(self, runner):
        pytest.skip("not today")

    def test_of_the_authors_own(self, runner):
        pass
"""

CASES = "all_exit_0 or test_tail or asked_for or kubernetes or failure_stops_the_rest or another_runner or authors_own"


@pytest.fixture(scope="module", params=[[], ["-n", "2"]], ids=["alone", "xdist"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in which one case fails and one is skipped."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "test_mine.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    path = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={path}", "-k", CASES]
    done = subprocess.run([*command, *request.param, "test_mine.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return path


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/contract_table.py, for a page of its own and the scheduler `memory`."""
    module = helpers.script("contract_table")
    page = tmp_path / "contract.md"
    page.write_text(f"# Before\n\n{module.BEGIN}{module.END}\n# After\n")
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(module, "COLUMNS", ("memory",))
    monkeypatch.delenv("CI", raising=False)
    return module


def test_each_cell(report: Path) -> None:
    cells = table.read([report])["memory"]
    assert cells[Fact("test_a_failure_stops_the_rest", "")] == "holds"
    assert cells[Fact("test_all_exit_0", "")] == "fails"
    assert cells[Fact("test_tail", "")] == NOT_RUN
    assert cells[Fact("test_what_is_asked_for_is_taken_or_refused", "gpus")] == "refused"
    assert cells[Fact("test_what_is_asked_for_is_taken_or_refused", "ports")] == "holds"
    assert cells[Fact("test_a_kubernetes_secret_is_taken_or_refused", "")] == "refused"
    assert cells[Fact("test_another_runner_finds_a_durable_job", "")] == "refused"


def test_the_table_has_every_case_of_the_suite_in_its_order(report: Path) -> None:
    cells = table.parse(table.render(table.read([report])))["memory"]
    assert cells["A failure stops the rest"] == "holds"
    assert cells["A job whose replicas all exit 0 has succeeded"] == "fails"
    assert cells["A job can ask for: bind mount"] == "refused"
    assert cells["Delete leaves nothing"] == NOT_RUN
    assert list(cells)[:2] == ["Several roles run", "Each replica knows its app, role and number"]
    assert not [sentence for sentence in cells if "author" in sentence]


def test_sentences_are_not_the_same_and_fit_into_a_row() -> None:
    sentences = [fact.sentence for _, facts in table.rows({}) for fact in facts]
    assert len(sentences) == len(set(sentences)) > 90
    assert not [text for text in sentences if "|" in text or not (text[0].isupper() or text[0] == "`")]


def test_for_an_author(report: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xrun.testing.table"]
    done = subprocess.run([*command, str(report.parent)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| A failure stops the rest | holds |\n" in done.stdout
    nothing = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "pytest --junitxml" in nothing.stderr


def test_a_file_that_is_no_report_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text("<testsuites")
    for path in ("report.xml", "nowhere.xml"):
        done = subprocess.run(
            [sys.executable, "-m", "xrun.testing.table", str(tmp_path / path)], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert path in done.stderr


def test_the_gate_names_each_difference(script: ModuleType, report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--write", str(report)]) == 0
    page = script.PAGE.read_text()
    assert page.startswith("# Before\n")
    assert page.endswith("# After\n")
    assert script.main([str(report)]) == 0
    script.PAGE.write_text(
        page.replace("| A failure stops the rest | holds |", "| A failure stops the rest | refused |")
    )
    capsys.readouterr()
    assert script.main([str(report)]) == 1
    first, advice = capsys.readouterr().err.splitlines()
    assert first == "memory: A failure stops the rest: the page says refused, the run holds"
    assert "--write" in advice


def test_the_gate_notices_a_fact_that_is_new_or_gone(
    script: ModuleType, report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--write", str(report)])
    script.PAGE.write_text(script.PAGE.read_text().replace("| A failure stops the rest |", "| Another fact |"))
    capsys.readouterr()
    assert script.main([str(report)]) == 1
    said = capsys.readouterr().err
    assert "A failure stops the rest: the page says nothing, the run holds" in said
    assert "Another fact: the page says holds, the run nothing" in said


def test_a_system_that_is_not_here_is_not_compared_but_in_ci(
    script: ModuleType, report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "COLUMNS", ("memory", "tsp"))
    script.main(["--write", str(report)])
    page = script.PAGE.read_text().replace("rest | holds | not run |", "rest | holds | holds |")
    script.PAGE.write_text(page)
    assert script.main([str(report)]) == 0
    assert "tsp did not run" in capsys.readouterr().err
    script.main(["--write", str(report)])
    assert script.PAGE.read_text() == page, "the column of what did not run is kept"
    monkeypatch.setenv("CI", "true")
    assert script.main([str(report)]) == 1
    assert "tsp: no results" in capsys.readouterr().err


def test_a_scheduler_without_a_column_is_named(
    script: ModuleType, report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(["--write", str(report)])
    monkeypatch.setattr(script, "COLUMNS", ())
    assert script.main([str(report)]) == 1
    assert "memory: has results and no column" in capsys.readouterr().err


def test_the_committed_table_has_the_suites_facts() -> None:
    page = (ROOT / "docs" / "contract.md").read_text()
    cells = table.parse(page.partition("contract_table.py --write -->")[2])
    facts = [fact for _, facts in table.rows({}) for fact in facts]
    columns = ["local", "docker", "slurm", "kubernetes job", "kubernetes jobset", "memory", "tsp", "example"]
    assert list(cells) == columns
    for name, column in cells.items():
        known = {sentence.partition(": ")[0] for sentence in column}
        assert not [f.sentence for f in facts if f.sentence.partition(": ")[0] not in known], name
        assert set(column.values()) <= {"holds", "refused"}, name
