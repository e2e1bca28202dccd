"""What the commands of Slurm 20.11 to 25.05 print, read by the client; see recorded.toml for where it is from."""

from __future__ import annotations

import os
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers.slurm import probes, states
from xrun.schedulers.slurm.client import Cluster, Row
from xrun.specs.states import AppState

RECORDED = tomllib.loads(Path(__file__).with_name("recorded.toml").read_text())
EXPECTED = RECORDED.pop("expected")
REAL = next(name for name, said in RECORDED.items() if said.get("recorded"))
VERSIONS = {name: {**RECORDED[REAL], **said} for name, said in RECORDED.items()}
"""A version prints what the recorded one does where nothing else is known."""

Wrapped = Callable[[str, str], Path]


@pytest.fixture(params=list(VERSIONS))
def said(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VERSIONS[request.param]


def says(text: str, stream: int = 1, code: int = 0) -> str:
    return f"printf '%s\\n' {shlex.quote(text.strip())} >&{stream}; exit {code}"


def short(row: Row) -> list[str]:
    return [row.job_id, row.state, row.reason, row.nodes]


def test_squeue(said: dict[str, Any], wrapped: Wrapped) -> None:
    wrapped("squeue", says(said["squeue"]))
    rows = Cluster().queue()
    assert [short(row) for row in rows] == EXPECTED["squeue"]
    assert {row.user for row in rows} == {"root"}
    assert {row.submitted for row in rows} == {1795629965.0}
    assert [row.component for row in rows if row.job_id == "8"] == [0, 1]
    assert states.state_of(rows[0].state) == AppState.SUCCEEDED


def test_sacct(said: dict[str, Any], wrapped: Wrapped) -> None:
    wrapped("sacct", says(said["sacct"]))
    rows = Cluster().accounting(["any"], 0)
    assert [[row.job_id, row.state, row.nodes] for row in rows] == EXPECTED["sacct"]
    assert next(row.ended for row in rows if row.job_id == "5") == 1795629967.0
    assert next(row.ended for row in rows if row.job_id == "8") == 0.0


def test_no_accounting(said: dict[str, Any], wrapped: Wrapped) -> None:
    here = wrapped("sacct", f"echo >>$here/asked; {says(said['no_accounting'], 2, 1)}")
    cluster = Cluster()
    assert cluster.accounting(["any"], 0) == []
    assert cluster.accounting(["any"], 0) == []
    assert (here / "asked").read_text() == "\n"  # it asks once


def test_a_number_that_the_queue_does_not_know(said: dict[str, Any], wrapped: Wrapped) -> None:
    wrapped("squeue", says(said["unknown_job"], 2, 1))
    assert Cluster().named("999") == []


def test_a_controller_that_is_away(said: dict[str, Any], wrapped: Wrapped) -> None:
    for text in said["away"]:
        wrapped("squeue", says(text, 2, 1))
        with pytest.raises(BackendUnavailable, match="can't be reached"):
            Cluster().queue()


def test_sbatch(said: dict[str, Any], wrapped: Wrapped) -> None:
    wrapped("sbatch", says(said["submitted"]))
    assert Cluster().submit("job.sh", "out", _env()) == "16"
    wrapped("sbatch", says(said["refused"], 2, 1))
    with pytest.raises(BackendError, match="refused: invalid partition specified: nosuch; Batch job submission failed"):
        Cluster().submit("job.sh", "out", _env())
    wrapped("sbatch", says(said["test_only"], 2))
    Cluster().test("job.sh", _env())


def test_doctor(said: dict[str, Any], wrapped: Wrapped, tmp_path: Path) -> None:
    for name in ("squeue", "scancel"):
        wrapped(name, "exit 0")
    wrapped("sbatch", says(said["version"]))
    wrapped("scontrol", says(said["config"]))
    wrapped("sinfo", 'case "$*" in *%P*) echo "main*|up|4" ;; *) echo localhost ;; esac')
    found = {probe.subject: probe for probe in probes.look(Cluster(10), str(tmp_path), "main")}
    assert all(probe.ok for probe in found.values()), found
    assert found["accounting"].detail.startswith("none")
    assert found["version"].detail.split()[1] in said["version"]


@pytest.mark.parametrize("state", ["EXPEDITING", "POWER_UP_NODE", "LAUNCH_FAILED", "RECONFIG_FAIL", "RESV_DEL_HOLD"])
def test_states_that_are_not_in_every_version(state: str) -> None:
    assert states.state_of(state) != AppState.UNKNOWN


def _env() -> dict[bytes, bytes]:
    return dict(os.environb)
