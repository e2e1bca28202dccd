"""The script that a CI job holds: its exit codes, what it leaves, and that a second run finds the first one's job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.docs.blocks import ROOT, read
from tests.docs.story import environment
from tests.helpers import install

SCRIPT = ROOT / "examples" / "ci" / "run.sh"

FLAKY = '''
import os
from pathlib import Path

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers.local.scheduler import LocalScheduler


def create_scheduler(session="default", own_process=False, **_):
    return Flaky(session, own_process)


class Flaky(LocalScheduler):
    """The local scheduler behind a line that is down as often as the file says, or one that loses its jobs."""

    name = "flaky"

    def describe_many(self, app_ids):
        return {} if Path(os.environ["OUTAGE"]).read_text() == "gone" else super().describe_many(app_ids)

    def submit_request(self, info):
        said = Path(os.environ["OUTAGE"]).read_text()
        if said == "gone":
            return super().submit_request(info)
        left = int(said)
        if left < 0:
            raise BackendError("the queue is closed")
        Path(os.environ["OUTAGE"]).write_text(str(max(0, left - 1)))
        if left:
            raise BackendUnavailable("no route to the cluster")
        return super().submit_request(info)
'''


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A CI machine's: xrun on PATH, short patience, and a scheduler whose system comes and goes."""
    site = tmp_path / "site"
    install(site, "flaky", "[xrun.schedulers]\nflaky = flaky:create_scheduler\n", flaky=FLAKY)
    (tmp_path / "outage").write_text("0")
    return {
        **environment(tmp_path),
        "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
        "OUTAGE": str(tmp_path / "outage"),
        "RETRIES": "3",
        "RETRY_SECONDS": "0",
    }


def start(env: dict[str, str], folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SCRIPT, "build-1", folder / "artefacts", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    stdout, stderr = process.communicate(timeout=60)
    assert stdout == ""
    return process.returncode, stderr


def xrun(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "xrun", *words], env=env, cwd="/", capture_output=True, text=True)


def handle_of(process: subprocess.Popen[str], folder: Path) -> str:
    """The handle, once the script has written it and waits."""
    file = folder / "artefacts" / "handle"
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text().endswith("\n")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return file.read_text().strip()


def saved(folder: Path) -> tuple[str, str]:
    status = json.loads((folder / "artefacts" / "status.json").read_text())
    return status["state"], (folder / "artefacts" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [(["echo fine"], 0, "SUCCEEDED"), (["echo fine; exit 9"], 1, "FAILED")],
)
def test_a_job_that_ends(tmp_path: Path, env: dict[str, str], words: list[str], code: int, state: str) -> None:
    assert end(start(env, tmp_path, "utils.sh", "--", *words))[0] == code
    assert saved(tmp_path) == (state, "fine\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "usage: run.sh"),
        (["utils.ehco"], 2, "did you mean utils.echo"),
        (["-s", "nowhere", "utils.echo"], 2, "nowhere"),
        (["utils.echo", "--num-replicas", "0"], 3, "XR007"),
    ],
)
def test_a_job_that_is_wrong(tmp_path: Path, env: dict[str, str], words: list[str], code: int, said: str) -> None:
    got, stderr = end(start(env, tmp_path, *words))

    assert got == code
    assert said in stderr
    assert json.loads(xrun(env, "list", "-s", "local", "--json").stdout)["apps"] == []


def test_another_job_of_the_same_id_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    assert end(start(env, tmp_path, "utils.echo", "--msg", "1"))[0] == 0
    got, stderr = end(start(env, tmp_path, "utils.echo", "--msg", "2"))

    assert got == 3
    assert "build-1" in stderr


def test_a_system_that_refuses(tmp_path: Path, env: dict[str, str]) -> None:
    Path(env["OUTAGE"]).write_text("-1")
    got, stderr = end(start(env, tmp_path, "-s", "flaky", "utils.echo"))

    assert got == 4
    assert "the queue is closed" in stderr


def test_a_system_that_comes_back(tmp_path: Path, env: dict[str, str]) -> None:
    Path(env["OUTAGE"]).write_text("2")
    got, stderr = end(start(env, tmp_path, "-s", "flaky", "utils.echo", "--msg", "late"))

    assert got == 0, stderr
    assert stderr.count("no route to the cluster") == 2
    assert saved(tmp_path) == ("SUCCEEDED", "late\n")


def test_a_system_that_stays_away(tmp_path: Path, env: dict[str, str]) -> None:
    Path(env["OUTAGE"]).write_text("100")
    got, stderr = end(start(env, tmp_path, "-s", "flaky", "utils.echo"))

    assert got == 8
    assert stderr.count("no route to the cluster") == 4


def test_a_job_that_is_gone_when_it_is_waited_for(tmp_path: Path, env: dict[str, str]) -> None:
    Path(env["OUTAGE"]).write_text("gone")
    got, stderr = end(start(env, tmp_path, "-s", "flaky", "utils.echo"))

    assert got == 5
    assert "no such job: flaky://default/echo-" in stderr


def test_a_job_that_is_cancelled_meanwhile(tmp_path: Path, env: dict[str, str]) -> None:
    process = start(env, tmp_path, "utils.sh", "--", "echo begun; sleep 1000")
    assert xrun(env, "cancel", handle_of(process, tmp_path)).returncode == 0

    assert end(process)[0] == 7
    assert saved(tmp_path)[0] == "CANCELLED"


def test_time_that_is_up_leaves_the_job(tmp_path: Path, env: dict[str, str]) -> None:
    process = start(env | {"JOB_TIMEOUT": "0.2"}, tmp_path, "utils.sh", "--", "sleep 1000")
    handle = handle_of(process, tmp_path)

    assert end(process)[0] == 6
    assert saved(tmp_path)[0] == "RUNNING"
    assert xrun(env, "cancel", handle).returncode == 0


def test_killed_and_run_again_it_finds_the_job(tmp_path: Path, env: dict[str, str]) -> None:
    words = ["utils.sh", "--", f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo done"]
    process = start(env, tmp_path, *words)
    handle = handle_of(process, tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "RUNNING" in xrun(env, "status", handle).stdout

    again = start(env, tmp_path, *words)
    (tmp_path / "go").touch()
    assert end(again)[0] == 0
    assert (tmp_path / "artefacts" / "handle").read_text() == f"{handle}\n"
    assert saved(tmp_path) == ("SUCCEEDED", "done\n")
    assert len(json.loads(xrun(env, "list", "-s", "local", "--json").stdout)["apps"]) == 1


def test_the_workflow_of_the_page_calls_the_script() -> None:
    (block,) = [b for b in read("docs/ci.md") if b.language == "yaml"]
    steps = yaml.safe_load(block.text)["jobs"]["train"]["steps"]
    runs = [step["run"].split() for step in steps if "run" in step]

    assert [words[0] for words in runs] == [str(SCRIPT.relative_to(ROOT))]
    assert os.access(SCRIPT, os.X_OK)
    assert runs[0][2] == next(step["with"]["path"] for step in steps if "path" in step.get("with", {}))
