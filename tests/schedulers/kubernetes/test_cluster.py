"""What the contract does not look at, on a real cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team, ends, meanwhile, name_of, reaches, run, says, sh, status
from tests.systems.kubernetes_cluster import BUSYBOX, group, until
from xrun.errors import BackendError, JobNotFound
from xrun.runner import Runner
from xrun.schedulers.kubernetes import labels
from xrun.schedulers.kubernetes.client import POD, Cluster, Refused
from xrun.schedulers.kubernetes.scheduler import create_scheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs.app import AppDef
from xrun.specs.identity import new_request_id
from xrun.specs.mounts import VolumeMount
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.states import AppState
from xrun.specs.workspace import Workspace
from xrun.testing.hostile import HOSTILE

pytestmark = [group("verbs"), pytest.mark.timeout(240)]

KINDS = pytest.mark.parametrize("kind", ["job", "jobset"])


@KINDS
def test_what_is_rendered_runs_by_hand(kind: str, runner: Runner, team: Team, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "run.sh").write_text('for a; do printf "%s\\0" "$a"; done\n')
    role = Role("main", BUSYBOX, "sh", ["run.sh", *HOSTILE, "${replica_id}"], num_replicas=2)
    role.workspace = Workspace({str(code): ""})
    info = runner.dryrun(AppDef("by-hand", [role]), "kubernetes", {"kind": kind}, reproducible=True)
    team.kubectl("apply", "--filename=-", stdin=str(info))
    assert "created" not in team.kubectl("apply", "--filename=-", stdin=str(info))
    handle = f"kubernetes://default/{info.app_id}"
    ends(runner, handle, AppState.SUCCEEDED)
    for k in range(2):
        written = b"".join(c.data for c in runner.logs(handle, LogQuery("main", (k,)))).decode().split("\0")
        wanted = [text.replace("\r\n", "\n") for text in HOSTILE]  # the log's, see the contract's crlf
        assert written == [*wanted, str(k), ""]
    there = runner.describe(handle)
    assert there is not None
    assert there.roles[0].args == role.args
    runner.delete(handle)
    assert team.left(handle) == []


def test_a_field_that_there_is_not_is_refused_before_and_at_submission(runner: Runner, team: Team) -> None:
    role = sh("true", metadata={"kubernetes": {"spec": {"hostNetwrok": True}}})
    found = runner.check(AppDef("wrong", [role]), "kubernetes", server=True)
    assert [p.code for p in found] == ["XR169"]
    assert "hostNetwrok" in found[0].message
    with pytest.raises(Exception, match="hostNetwrok"):
        run(runner, role)
    assert team.kubectl("get", "jobs,services", "--output=name") == ""


def test_a_check_leaves_no_trace(runner: Runner, team: Team) -> None:
    for roles in ([sh("true", num_replicas=2)], [sh("true"), sh("true", "other")]):
        assert runner.check(AppDef("right", roles), "kubernetes", server=True) == []
    assert team.kubectl("get", "jobs,jobsets,services,pods", "--output=name") == ""


@KINDS
def test_a_queue_is_waited_in_until_kueue_lets_it_begin(kind: str, runner: Runner, team: Team) -> None:
    """Kueue's part is played: it clears ``spec.suspend``."""
    handle = run(runner, sh("echo ran"), kind=kind, queue="team")
    found = says(runner, handle, "waits in queue team")
    assert found.state is AppState.PENDING
    team.kubectl("patch", kind, name_of(handle), "--type=merge", '--patch={"spec": {"suspend": false}}')
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["ran\n"]


def test_who_is_not_root(runner: Runner, team: Team, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("id -u; echo made > made; cat made\n")
    role = Role("main", BUSYBOX, "sh", ["run.sh"], workspace=Workspace({str(tmp_path): ""}))
    handle = run(runner, role, run_as_user=1000, run_as_group=1000)
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["1000\n", "made\n"]


def test_two_apps_share_a_workspace_that_goes_with_the_last(runner: Runner, team: Team, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "a").write_text("a\n")
    role = Role("main", BUSYBOX, "cat", ["a"], workspace=Workspace({str(code): ""}))
    first, second = (run(runner, role) for _ in range(2))
    for handle in (first, second):
        ends(runner, handle, AppState.SUCCEEDED)

    def there() -> int:
        return len(team.kubectl("get", "configmaps", f"--selector={labels.WORKSPACE}", "--output=name").split())

    assert there() == 1
    runner.delete(first)
    assert there() == 1
    runner.delete(second)
    end = time.monotonic() + 30
    while there() and time.monotonic() < end:
        time.sleep(0.1)
    assert there() == 0


def test_volumes_of_the_cluster(runner: Runner, team: Team) -> None:
    team.kubectl("create", "configmap", "settings", "--from-literal=a=1")
    team.kubectl("create", "secret", "generic", "keys", "--from-literal=main=hidden")
    mounts = [
        VolumeMount("configmap:settings", "/settings", read_only=True),
        VolumeMount("secret:keys", "/keys"),
        VolumeMount("emptydir:memory:1Mi", "/fast"),
    ]
    role = sh(
        "cat /settings/a /keys/main; echo $TOKEN; df -k /fast /dev/shm | awk '/tmpfs/ {print $2, $NF}'",
        mounts=list(mounts),
        secrets={"TOKEN": "k8s:keys/main"},
        resource=Resource(memMB=32),
    )
    handle = run(runner, role)
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["1hiddenhidden\n", "1024 /fast\n", "32768 /dev/shm\n"]


def test_another_namespace_is_in_the_handle(runner: Runner, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = run(runner, sh("echo ran"), namespace=team.namespace)
    assert f"/{team.namespace}:job-" in handle
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["ran\n"]
    assert handle.rpartition("/")[2] in {row.app_id for row in runner.list("kubernetes")}
    runner.delete(handle)
    assert team.left(handle) == []


def test_an_option_that_only_this_command_knows_is_refused(runner: Runner, team: Team) -> None:
    with pytest.raises(Exception, match="--profile NAME"):
        run(runner, sh("true"), context="elsewhere")


def test_what_was_cut_off_is_finished_by_the_same_request(runner: Runner, team: Team) -> None:
    request, app = new_request_id(), AppDef("cut", [sh("echo $TOKEN", num_replicas=2, secrets={"TOKEN": "env:HOME"})])
    handle = str(runner.run(app, "kubernetes", {}, request_id=request))
    name = name_of(handle)
    team.kubectl("delete", "service,secret", name)
    assert runner.run(app, "kubernetes", {}, request_id=request) == handle
    left = {line.partition("/")[0] for line in team.left(handle)}
    assert {"service", "secret"} <= left
    ends(runner, handle, AppState.SUCCEEDED)


def test_what_was_cut_off_is_not_finished_with_other_code(runner: Runner, team: Team, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "a").write_text("first\n")
    request, app = new_request_id(), AppDef("cut", [Role("main", BUSYBOX, "cat", ["a"])])
    app.roles[0].workspace = Workspace({str(code): ""})
    # as if it had been killed before the ConfigMap: what refers to it waits for it
    info = runner.dryrun(app, "kubernetes", {}, request_id=request)
    handle = runner.schedule(info)
    team.kubectl("delete", "configmaps", f"--selector={labels.WORKSPACE}")
    (code / "a").write_text("second\n")
    with pytest.raises(BackendError, match=f"was begun with another state of the workspace.*xrun delete {handle}"):
        runner.run(app, "kubernetes", {}, request_id=request)
    assert team.names("configmaps", f"--selector={labels.WORKSPACE}") == []
    (code / "a").write_text("first\n")
    assert runner.run(app, "kubernetes", {}, request_id=request) == handle
    (code / "a").write_text("third\n")
    assert runner.run(app, "kubernetes", {}, request_id=request) == handle  # all of it is there
    assert len(team.names("configmaps", f"--selector={labels.WORKSPACE}")) == 1
    ends(runner, handle, AppState.SUCCEEDED)
    assert list(runner.log_lines(handle, "main")) == ["first\n"]


@KINDS
def test_an_app_that_the_cluster_removes_at_its_end(kind: str, runner: Runner, team: Team) -> None:
    for _ in range(3):
        handle = run(runner, sh("sleep 1; echo bye; exit 4", num_replicas=2), kind=kind, ttl=0)
        waiter = meanwhile(runner.wait, handle, timeout=60)
        lines = list(runner.log_lines(handle, "main", 0, should_tail=True))
        found = waiter.result(60)
        assert found is not None
        assert found.state is AppState.FAILED
        assert "exit 4: bye" in found.msg
        assert lines == ["bye\n"]
    until(lambda: not team.left(handle))


def test_logs_of_attempts_that_are_there_need_nobody_who_watches(runner: Runner, team: Team) -> None:
    script = 'echo "attempt $XRUN_ATTEMPT"; [ $XRUN_ATTEMPT = 1 ]'
    handle = run(runner, sh(script, max_retries=1, retry_policy=RetryPolicy.REPLICA))
    team.kubectl("wait", "--for=condition=Complete", "--timeout=60s", f"job/{name_of(handle)}")
    assert list(runner.log_lines(handle, "main")) == ["attempt 0\n", "attempt 1\n"]
    assert status(runner, handle).num_restarts == 1


def test_the_command_line_follows_and_cancels(team: Team, xrun_home: Path) -> None:
    words = [sys.executable, "-m", "xrun", "-s", "kubernetes", "-cfg", f"image={BUSYBOX},grace_period=1"]
    script = "echo one; sleep 1; echo two; exit 3"
    done = subprocess.run([*words, "--log", "utils.sh", "--", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "one\ntwo\n"
    assert "failed: exit 3: two" in done.stderr


def test_a_follower_sees_every_attempt(runner: Runner, team: Team) -> None:
    script = 'echo "attempt $XRUN_ATTEMPT"; [ $XRUN_ATTEMPT = 2 ]'
    handle = run(runner, sh(script, max_retries=2))
    lines = list(runner.log_lines(handle, "main", should_tail=True))
    assert lines == [f"attempt {n}\n" for n in range(3)]
    assert list(runner.log_lines(handle, "main")) == lines


def test_many_are_waited_for_by_one_watch(runner: Runner, team: Team) -> None:
    handles = [run(runner, sh(f"exit {n % 2}")) for n in range(8)]
    scheduler = create_scheduler()
    ids = [handle.rpartition("/")[2] for handle in handles]
    *_, last = scheduler.watch(ids, timeout=120)
    assert [last[i].status.state.name for i in ids] == ["SUCCEEDED", "FAILED"] * 4


def test_two_cancels_and_a_follower_at_once(runner: Runner, team: Team) -> None:
    handle = run(runner, sh("trap 'echo bye; exit 0' TERM; echo ready; sleep 60 & wait", num_replicas=3))
    for k in range(3):
        reaches(runner, handle, "ready", k=k)
    follower = meanwhile(lambda: list(runner.log_lines(handle, "main", 1, should_tail=True)))
    both = [meanwhile(runner.cancel, handle) for _ in range(2)]
    for one in both:
        one.result(60)
    assert follower.result(60) == ["ready\n", "bye\n"]
    found = ends(runner, handle, AppState.CANCELLED)
    assert [k.exit_code for k in found.roles[0].replicas] == [0, 0, 0]


def test_a_line_is_there_when_the_kubelet_has_it(runner: Runner, team: Team) -> None:
    """Beside one who asks the kubelet all the time; the best of some, since the machine has other things to do."""
    cluster = Cluster()
    behind = []
    for _ in range(4):
        handle = run(runner, sh("echo hi; sleep 3"))
        asked = meanwhile(_first_seen, cluster, handle)
        next(chunk for chunk in runner.logs(handle, LogQuery(follow=True)) if chunk.data)
        behind.append(time.time() - asked.result(60))
    assert min(behind) < 0.1


def _first_seen(cluster: Cluster, handle: str) -> float:
    chosen = f"{labels.APP_ID}={name_of(handle)}"
    pods: list[Any] = []
    while not pods:
        pods = cluster.list(POD, selector=chosen).items
    path = cluster.path(POD, name=pods[0]["metadata"]["name"], sub="log")
    while True:
        try:
            with cluster.stream("ask for a log", path, {"container": "main"}, 10) as stream:
                if b"".join(stream):
                    return time.time()
        except Refused:
            time.sleep(0.01)  # not begun


def test_pods_that_no_job_has_any_more_are_told_of(runner: Runner, team: Team) -> None:
    handle = run(runner, sh("sleep 600"))
    until(lambda: team.pods(handle))
    team.kubectl("delete", "job", name_of(handle), "--cascade=orphan")
    said: list[str] = []
    with_notices = create_scheduler(progress=said.append)
    with suppress(JobNotFound):  # whether its service is still there is the cluster's affair
        with_notices.delete(name_of(handle))
    with_notices.close()
    chosen = f"-l {labels.APP_ID}={name_of(handle)}"
    (told,) = said
    assert told.endswith(f"that no Job has any more stay; kubectl delete pods {chosen} removes them")
    team.kubectl("delete", "pods", *chosen.split(), "--now")
