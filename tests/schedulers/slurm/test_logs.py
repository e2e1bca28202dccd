"""Files of output and the notes beside them, also damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrun.runner import Runner
from xrun.schedulers.logs import LogQuery
from xrun.schedulers.slurm import logs
from xrun.schedulers.slurm.jobroot import JobFolder
from xrun.specs.states import AppState

HEADS = ["{", "[]", "3", '{"app": 3, "submitted": "soon"}', '{"submitted": Infinity, "options": []}', "[" * 100_000]
ENDS = ["{", "[]", '{"state": "FAILED"}', '{"state": "GONE", "reason": "", "ended": 1}', "[" * 100_000]
ENDS += ['{"state": "FAILED", "reason": "", "ended": Infinity}', '{"state": [], "reason": 1, "ended": {}}']
RECORD = "run 12 0 100 n1\nstart 0 0 0 101 n1\nverdict 102 FAILED 7 0 3\n"


@pytest.mark.parametrize("text", HEADS)
def test_a_damaged_head_hides_no_job(runner: Runner, xrun_home: Path, text: str) -> None:
    folder = xrun_home / "slurm" / "job-12345"
    folder.mkdir(parents=True)
    (folder / "job").symlink_to("12")
    (folder / "job.log").write_text(RECORD)
    (folder / "app.json").write_text(text)
    found = runner.status("slurm://default/job-12345")
    assert found is not None
    assert found.state is AppState.FAILED
    (row,) = runner.list("slurm")
    assert row.state is AppState.FAILED
    assert list(runner.logs("slurm://default/job-12345", LogQuery())) == []


@pytest.mark.parametrize("text", ENDS)
def test_a_damaged_end_is_none(tmp_path: Path, text: str) -> None:
    folder = JobFolder(str(tmp_path), "job-12345")
    folder.make()
    whole = '{"state": "FAILED", "reason": "why", "ended": 1}'
    for written, expected in ((whole, {"state": "FAILED", "reason": "why", "ended": 1.0}), (text, {})):
        folder.write("ended.json", written.encode())
        assert folder.ended() == expected


def test_a_damaged_note_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "main.0.out").write_bytes(b"onetwothreefour")
    (tmp_path / "main.0.err").write_bytes(b"")
    notes = [
        b"start",
        b"1.5 3 1.0 0",
        b"1,7 6 1,0 0",
        b"1.8 \0\0\0 1",
        b"1.2.3 5 1 5",
        b"x y z \xff",
        b"2.5 11 1.0 0",
        b"3.5 13",
    ]
    (tmp_path / "main.0.log").write_bytes(b"\n".join(notes))
    found = list(logs.read(str(tmp_path), [("main", 1)], LogQuery(), lambda: True))
    assert [chunk.data for chunk in found] == [b"one", b"twothree", b"four"]
    assert [chunk.time for chunk in found][:2] == [1.5, 2.5]
