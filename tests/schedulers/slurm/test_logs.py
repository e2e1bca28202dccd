"""Files of output and the notes beside them, also damaged ones."""

from __future__ import annotations

from pathlib import Path

from xrun.schedulers.logs import LogQuery
from xrun.schedulers.slurm import logs


def test_a_damaged_note_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "main.0.out").write_bytes(b"onetwothreefour")
    (tmp_path / "main.0.err").write_bytes(b"")
    notes = [b"start", b"1.5 3 1.0 0", b"1,7 6 1,0 0", b"1.8 \0\0\0 1", b"x y z \xff", b"2.5 11 1.0 0", b"3.5 13"]
    (tmp_path / "main.0.log").write_bytes(b"\n".join(notes))
    found = list(logs.read(str(tmp_path), [("main", 1)], LogQuery(), lambda: True))
    assert [chunk.data for chunk in found] == [b"one", b"twothree", b"four"]
    assert [chunk.time for chunk in found][:2] == [1.5, 2.5]
