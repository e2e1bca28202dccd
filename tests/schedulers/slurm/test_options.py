"""What each option comes to in Slurm, and what a launcher's own environment must not change."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.slurm.jobs import UNTIL_STOPPED, app_id, ends, reaches, run, sh, status, until
from tests.systems.slurm_cluster import SlurmCluster
from xrun.errors import InvalidValue
from xrun.runner import Runner
from xrun.specs.resources import Resource
from xrun.specs.states import AppState

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]

SUCCEEDED, FAILED = AppState.SUCCEEDED, AppState.FAILED


def lines(runner: Runner, handle: str, k: int = 0) -> list[str]:
    return list(runner.log_lines(handle, "main", k))


def shown(cluster: SlurmCluster, runner: Runner, handle: str) -> dict[str, str]:
    """What Slurm itself says of a job, by name."""
    found = cluster.command("scontrol", "show", "job", "--oneliner", status(runner, handle).native_id)
    return {name: value.strip() for name, value in re.findall(r"(\S+?)=(.*?)(?= \S+?=|$)", found)}


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"partition": "low,main"}, "Partition", "low,main"),
        ({"account": "teaching"}, "Account", "teaching"),
        ({"qos": "fast"}, "QOS", "fast"),
        ({"time": "1-02:03:00", "partition": "low"}, "TimeLimit", "1-02:03:00"),
        ({"time": "90"}, "TimeLimit", "01:30:00"),
        ({"constraint": "test"}, "Features", "test"),
        ({"licenses": "matlab:2"}, "Licenses", "matlab:2"),
        ({"nodelist": "n[2-3]"}, "ReqNodeList", "n[2-3]"),
        ({"exclude": "n[2-3]"}, "ExcNodeList", "n[2-3]"),
        ({"comment": "a b, c"}, "Comment", "a b, c"),
        ({"exclusive": True}, "OverSubscribe", "NO"),
        ({"requeue": False}, "Requeue", "0"),
        ({"requeue": True}, "Requeue", "1"),
        ({"mail_user": "ann@example.org", "mail_type": "END,FAIL"}, "MailType", "END,FAIL"),
        ({"sbatch_args": ["--nice=77"]}, "Nice", "77"),
    ],
    ids=str,
)
def test_what_sbatch_is_told(
    runner: Runner,
    slurm_cluster_accounting: SlurmCluster,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv("SLURM_CONF", slurm_cluster_accounting.env["SLURM_CONF"])
    held = ["--hold", *options.pop("sbatch_args", [])]
    handle = run(runner, sh("true", num_replicas=2), sbatch_args=held, **options)
    assert shown(slurm_cluster_accounting, runner, handle)[name] == value
    runner.delete(handle)


def test_a_reservation(runner: Runner, cluster: SlurmCluster) -> None:
    words = ("ReservationName=course", "Users=root", "Nodes=n4", "StartTime=now", "Duration=60", "Flags=OVERLAP")
    cluster.command("scontrol", "create", "reservation", *words)
    try:
        handle = run(runner, sh('echo "$SLURMD_NODENAME"'), reservation="course")
        ends(runner, handle, SUCCEEDED)
        assert lines(runner, handle) == ["n4\n"]
    finally:
        until(lambda: not cluster.command("squeue", "--noheader", "--reservation=course"))
        cluster.command("scontrol", "delete", "ReservationName=course")


def test_a_dependency(runner: Runner, cluster: SlurmCluster) -> None:
    first = run(runner, sh(UNTIL_STOPPED))
    reaches(runner, first, "ready")
    second = run(runner, sh("true"), dependency=f"afterany:{status(runner, first).native_id}")
    until(lambda: "(Dependency)" in status(runner, second).msg)
    runner.cancel(first)
    ends(runner, second, SUCCEEDED)


def test_a_dependency_that_is_never_satisfied_is_said(runner: Runner, cluster: SlurmCluster) -> None:
    first = run(runner, sh("exit 3"))
    ends(runner, first, FAILED)
    second = run(runner, sh("true"), dependency=f"afterok:{status(runner, first).native_id}")
    found = ends(runner, second, AppState.CANCELLED)  # --kill-on-invalid-dep
    assert found.msg


def test_mail(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh("true"), mail_user="ann@example.org", mail_type="END")
    ends(runner, handle, SUCCEEDED)
    mail = cluster.folder / "mail"
    until(lambda: mail.exists() and f"Name={app_id(handle)} Ended" in mail.read_text(), 60)


def test_a_signal_of_the_users_own(runner: Runner, cluster: SlurmCluster) -> None:
    script = "trap 'echo warned; exit 0' USR1; echo ready; while :; do sleep 0.2; done"
    handle = run(runner, sh(script), time="1", signal="USR1@55")
    ends(runner, handle, SUCCEEDED, 100)
    assert "warned\n" in lines(runner, handle)


def test_setup_and_modules(runner: Runner, cluster: SlurmCluster, tmp_path: Path) -> None:
    setup = ["set -eu", f"module() {{ echo \"$@\" >>'{tmp_path}/loaded'; }}", "export FROM_SETUP='a b'"]
    handle = run(runner, sh('echo "$FROM_SETUP"'), setup=setup)
    ends(runner, handle, SUCCEEDED)
    assert lines(runner, handle) == ["a b\n"]


def test_setup_that_fails_fails_the_job(runner: Runner, cluster: SlurmCluster) -> None:
    found = ends(runner, run(runner, sh("echo never"), setup=["echo no such data >&2", "exit 4"]), FAILED)
    assert "no such data" in found.msg


def test_nothing_of_ours_is_inherited_if_not_wanted(
    runner: Runner, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "1")
    for inherit, expected in ((True, "1\n"), (False, "none\n")):
        handle = run(runner, sh('echo "${MINE:-none}"'), inherit_env=inherit)
        ends(runner, handle, SUCCEEDED)
        assert lines(runner, handle) == [expected]


def test_a_launcher_inside_of_a_job(runner: Runner, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # what sbatch and srun would take for options, and a squeue that shows something else
    for name, value in {
        "SLURM_JOB_ID": "1", "SLURM_JOBID": "1", "SLURM_NNODES": "7", "SLURM_NTASKS": "9", "SLURM_MEM_PER_CPU": "1",
        "SLURM_CPUS_PER_TASK": "5", "SLURM_EXPORT_ENV": "NONE", "SBATCH_ARRAY_INX": "1-3", "SBATCH_EXPORT": "NONE",
        "SBATCH_OUTPUT": "/nowhere/x", "SQUEUE_FORMAT": "%j", "SQUEUE_STATES": "RUNNING", "SACCT_FORMAT": "User",
        "SLURM_TIME_FORMAT": "relative", "SBATCH_TIMELIMIT": "7",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    handle = run(runner, sh('echo "$SLURM_NNODES ${MINE:-}"', num_replicas=2))
    reaches(runner, handle, "2 ")
    ends(runner, handle, SUCCEEDED)
    held = run(runner, sh("true"), sbatch_args=["--hold"])
    monkeypatch.undo()
    monkeypatch.setenv("SLURM_CONF", cluster.env["SLURM_CONF"])
    # a user's own default holds
    assert cluster.command("squeue", "--noheader", "--format=%l", f"--name={app_id(held)}") == "7:00\n"
    cluster.command("scancel", f"--name={app_id(held)}")


def test_secrets_are_where_only_their_owner_looks(
    runner: Runner, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch, xrun_home: Path
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "se cret'\n\"$x")
    held = run(runner, sh('printf %s "$TOKEN"; sleep 1', secrets={"TOKEN": "env:TOKEN_OF_MINE"}), inherit_env=False)
    folder = xrun_home / "slurm" / app_id(held)
    holders = [path for path in folder.iterdir() if path.is_file() and b"se cret" in path.read_bytes()]
    for path in holders:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    ends(runner, held, SUCCEEDED)
    assert "".join(lines(runner, held)) == "se cret'\n\"$x"
    left = [path.name for path in folder.iterdir() if path.is_file() and b"se cret" in path.read_bytes()]
    assert left == ["main.0.out"]


def test_memory_and_cpus(runner: Runner, cluster: SlurmCluster) -> None:
    role = sh("true", num_replicas=2, resource=Resource(cpu=2.5, gpu=1, memMB=300))
    handle = run(runner, role, sbatch_args=["--hold"])
    found = shown(cluster, runner, handle)
    assert found["TRES"].startswith("cpu=6,mem=600M,node=2")
    assert found["TresPerNode"] == "gres:gpu:1"
    runner.delete(handle)


OURS = ("-Jx", "--job-name=x", "--job-n=x", "--array=0-2", "-a1", "--test-only", "-W", "--help", "-V", "--parsable")
WRONG: list[dict[str, Any]] = [{"comment": "a\nb"}, {"partition": "a\rb"}, {"nodes": -1}]
WRONG += [{"signal": "B:USR1@30"}, {"signal": "rb:USR1"}, {"sbatch_args": ["--signal=USR1@30"]}]
WRONG += [{"job_root": "relative"}, {"job_root": "/back\\slash"}, *({"sbatch_args": [word]} for word in OURS)]


@pytest.mark.parametrize("options", WRONG)
def test_what_no_option_can_be(runner: Runner, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"option {next(iter(options))}"):
        run(runner, sh("true"), **options)


def test_a_home_that_sbatch_cannot_write_into(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRUN_HOME", "/back\\slash")
    with pytest.raises(InvalidValue, match="or another XRUN_HOME"):
        run(runner, sh("true"))


def test_the_same_job_from_another_folder_of_the_cli(cluster: SlurmCluster, xrun_home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xrun", "-s", "slurm", "--wait", "--request-id", "one", "utils.sh", "--", "pwd"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert first.returncode == 0, first.stderr
    again = subprocess.run(command, cwd="/", capture_output=True, text=True, env=os.environ)
    assert (again.returncode, again.stdout) == (0, first.stdout)
