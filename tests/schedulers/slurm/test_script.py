"""The script: what is written, and what a replica gets of it, without a cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.slurm.jobs import sh
from tests.schedulers.waiting import until
from xrun.errors import InvalidJob, InvalidValue
from xrun.schedulers.slurm import request, script
from xrun.schedulers.slurm.record import parse
from xrun.schedulers.slurm.request import SlurmOptions, SlurmRequest
from xrun.specs.app import AppDef
from xrun.specs.macros import substitute
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.testing.hostile import HOSTILE

GOLDEN = Path(__file__).parents[2] / "golden"
SHELLS = [["dash"], ["bash"], ["bash", "--posix"]]
TRAINER = Role(
    "trainer",
    entrypoint="python",
    args=["train.py", "--rank", "${replica_id}", "--out", "runs/${app_id}"],
    env={"LR": "0.1", "NOTE": "it's $HOME, as it stands"},
    num_replicas=4,
    max_retries=2,
    resource=Resource(cpu=7.5, gpu=8, memMB=65536),
)


def built(*roles: Role, root: str = "/shared/jobs", app_id: str = "train-x7f2q", **options: Any) -> SlurmRequest:
    handle = f"slurm://default/{app_id}"
    return request.build(AppDef("train", list(roles)), SlurmOptions(**options), app_id, handle, root)


def directives(*roles: Role, **options: Any) -> list[str]:
    lines = script.text(built(*roles, **options)).splitlines()
    return [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]


# --- the text ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slurm_render", "slurm_render_two_roles"])
def test_golden(name: str) -> None:
    server = Role("server", entrypoint="serve", primary=False, secrets={"TOKEN": "env:HF_TOKEN"})
    roles = [TRAINER] if name == "slurm_render" else [TRAINER, server]
    options = {"partition": "gpu", "time": "12:00:00", "comment": 'a "quoted" \\ one'}
    text = script.text(built(*roles, **options)).replace(script.library_path(), "XRUN/xrun.sh")
    path = GOLDEN / f"{name}.sh"
    if os.environ.get("XRUN_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_its_length_does_not_depend_on_the_number_of_replicas() -> None:
    one, many = (len(script.text(built(Role("main", entrypoint="x", num_replicas=n)))) for n in (1000, 9999))
    assert one == many <= 3072


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_shells_can_read_it(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text(script.text(built(TRAINER, sh("x", "two"), setup=["umask 077"])))
    for file in (tmp_path / "job.sh", script.library_path()):
        done = subprocess.run([*shell, "-n", file], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_replicas_and_nodes() -> None:
    assert "--nodes=4" in directives(TRAINER)
    assert "--ntasks-per-node=1" in directives(TRAINER)
    assert {"--cpus-per-task=8", "--mem=65536M", "--gpus-per-node=8"} <= set(directives(TRAINER))
    assert {"--nodes=2", "--ntasks=4", "--ntasks-per-node=2", "--mem=131072M", "--gpus-per-node=16"} <= set(
        directives(TRAINER, nodes=2)
    )
    nothing = directives(Role("main", entrypoint="x"))
    assert not [line for line in nothing if line.startswith(("--cpus", "--mem", "--gpus", "--time"))]


def test_several_roles_are_a_heterogeneous_job_or_packed() -> None:
    roles = [TRAINER, sh("x", "small", num_replicas=2)]
    found = directives(*roles)
    assert found.index("hetjob") < found.index("--nodes=2")
    packed = directives(*roles, packed=True)
    assert "hetjob" not in packed
    assert {"--nodes=4", "--ntasks-per-node=2", "--mem=65600M"} <= set(packed)


def test_a_time_limit_that_is_late_enough_for_max_runtime() -> None:
    assert "--time=63" in directives(sh("x"), max_runtime=3600)
    assert "--time=10" in directives(sh("x"), max_runtime=3600, time="10")


def test_a_secrets_value_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cr3t")
    text = script.text(built(sh("x", secrets={"TOKEN": "env:HF_TOKEN"})))
    assert "s3cr3t" not in text
    assert 'TOKEN="${HF_TOKEN:?}"' in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"partition": "a\nb"},
        {"nodes": -1},
        {"max_requeues": -1},
        {"sbatch_args": ["gres=gpu:1"]},
        {"job_root": "relative"},
    ],
    ids=str,
)
def test_options_that_can_not_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        SlurmOptions(**wrong)


def test_a_number_of_replicas_that_is_a_typing_error() -> None:
    with pytest.raises(InvalidJob, match="XR140"):
        built(sh("x", num_replicas=10**6))


# --- a replica -----------------------------------------------------------------------------------------------------


class Task:
    """One task of a step, without Slurm: its standard input is ours."""

    def __init__(self, shell: Sequence[str], root: Path, role: Role, **options: Any) -> None:
        asked = built(role, root=str(root), **options)
        self.folder = Path(asked.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(script.library_path(), self.folder)
        (self.folder / "job.sh").write_text(script.text(asked))
        env = {**os.environ, "SLURM_PROCID": "0", "SLURMD_NODENAME": "n1", "XRUN_RANK0_HOST_MAIN": "here"}
        self._process = subprocess.Popen(
            [*shell, str(self.folder / "job.sh"), "0", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )

    def says(self, text: bytes) -> None:
        """Waits until the program has written this."""
        until(lambda: text in self.out())

    def out(self) -> bytes:
        """What the program wrote."""
        path = self.folder / "main.0.out"
        return path.read_bytes() if path.exists() else b""

    def hang_up(self) -> None:
        """What the supervisor does to stop it."""
        assert self._process.stdin
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        """What Slurm does: every process gets it."""
        group = [self._process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) in group:
                group.append(int(stat.parent.name))
        for pid in group:
            os.kill(pid, number)

    def ends(self) -> tuple[int, list[str]]:
        """Exit code, and the words of each line that it said but for times."""
        assert self._process.stdout
        said = self._process.stdout.read().decode()
        code = self._process.wait(20)
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.stdout.close()
        return code, [" ".join(w for i, w in enumerate(line.split()) if i != 4) for line in said.splitlines()]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_hostile_values_arrive(shell: list[str], tmp_path: Path) -> None:
    show = (
        "import json, os, sys; n = int(sys.argv[1]); print(json.dumps([sys.argv[1:], "
        "[os.environ[f'V{i}'] for i in range(n)]]))"
    )
    args = [str(len(HOSTILE)), *(h.replace("${replica_id}", "").replace("${app_id}", "") for h in HOSTILE)]
    env = {f"V{i}": text for i, text in enumerate(args[1:])}
    task = Task(shell, tmp_path, Role("main", entrypoint="python3", args=["-c", show, *args], env=env))
    code, said = task.ends()
    assert (code, said) == (0, ["start 0 0 0 n1", "end 0 0 0 0"])
    wanted = [substitute(text, {"num_replicas": "1", "rank0_env": "XRUN_RANK0_HOST"}) for text in args]
    assert json.loads(task.out()) == [wanted, wanted[1:]]


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_is_told_to_stop(shell: list[str], tmp_path: Path) -> None:
    loop = "while :; do sleep 0.1; done"
    task = Task(shell, tmp_path, sh(f"trap 'echo bye; exit 5' TERM; echo ready; {loop}"))
    task.says(b"ready\n")
    task.hang_up()
    assert task.ends() == (5, ["start 0 0 0 n1", "end 0 0 0 5 stopped"])
    assert task.out() == b"ready\nbye\n"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_slurm_ends_it(shell: list[str], tmp_path: Path) -> None:
    task = Task(shell, tmp_path, sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done"))
    task.says(b"ready\n")
    task.signal(signal.SIGTERM)
    assert task.ends() == (0, ["start 0 0 0 n1", "end 0 0 0 0 stopped"])
    assert task.out() == b"ready\nbye\n", "SIGTERM comes once"


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_ignores_that(shell: list[str], tmp_path: Path) -> None:
    task = Task(shell, tmp_path, sh("trap '' TERM; echo ready; while :; do sleep 0.1; done"), grace_period=0.5)
    task.says(b"ready\n")
    began = time.monotonic()
    task.hang_up()
    assert task.ends() == (137, ["start 0 0 0 n1", "end 0 0 0 137 stopped"])
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_it_is_retried_in_its_task(shell: list[str], tmp_path: Path) -> None:
    role = sh("echo $XRUN_ATTEMPT; exit 3", max_retries=2, retry_policy=RetryPolicy.REPLICA)
    code, said = Task(shell, tmp_path, role).ends()
    assert code == 3
    assert [line for line in said if line.startswith("end")] == [
        "end 0 0 0 3 again",
        "end 0 0 1 3 again",
        "end 0 0 2 3",
    ]
    task = Task(shell, tmp_path, role)  # as after a requeue: retries stay used up, attempts are counted on
    assert task.ends() == (3, ["start 0 0 3 n1", "end 0 0 3 3"])
    assert task.out() == b"0\n1\n2\n3\n"


# --- what it notes -------------------------------------------------------------------------------------------------


def test_a_record_is_read() -> None:
    record = parse(
        "run 12 0 100.5 n[1-2]\nstart 0 0 0 101 n1\nstart 0 1 0 101 n2\nend 0 1 0 102 3 \nretry all 0 1 102\n"
        "end 0 0 0 103 0 stopped\nstart 0 0 1 104 n1\nstart 0 1 1 104 n2\nrequeue 105\nrun 12 1 200 n3\n"
        "start 0 0 2 201 n3\nend 0 0 2 202 0 \nverdict 203 SUCCEEDED\n"
    )
    assert (record.job_id, record.restarts, record.nodes, record.verdict) == ("12", 2, "n3", ["SUCCEEDED"])
    assert (record.ended, record.began) == (203, 200)
    first, second = record.replicas[0, 0], record.replicas[0, 1]
    assert (first.attempt, first.code, first.ended) == (2, 0, 202)
    assert (second.attempt, second.started) == (1, 0)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "start",
        "start 0 x",
        "end 0 0 0 1 x",
        "verdict",
        "verdict soon",
        "verdict 2 xx",
        "verdict 2 FAILED xx - 1",
        "verdict 2 FAILED",
        "verdict 2 FAILED 0",
        "verdict 2 FAILED 0 -",
        "verdict 2 FAILED 0 \u00b2 1",
        "verdict inf SUCCEEDED",
        "verdict nan SUCCEEDED",
        "verdict 1e400 SUCCEEDED",
        "run 12 0 inf n1",
        "killed nan",
        "\0\0",
        "run 1",
    ],
)
def test_a_damaged_line_is_passed_over(line: str) -> None:
    record = parse(f"run 12 0 1 n1\n{line}\nstart 0 0 0 2 n1\n")
    assert record.replicas[0, 0].started == 2
    assert record.verdict == []
