"""Several replicas and roles on nodes of all kinds: who fails, where they are, what reaches them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.schedulers.slurm.jobs import UNTIL_STOPPED, ends, reaches, run, sh
from tests.systems.slurm_cluster import SlurmCluster
from xrun.runner import Runner
from xrun.specs.resources import Resource
from xrun.specs.role import RetryPolicy, Role
from xrun.specs.states import AppState
from xrun.testing.hostile import HOSTILE

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(240)]

FAILED, SUCCEEDED, CANCELLED = AppState.FAILED, AppState.SUCCEEDED, AppState.CANCELLED


def words(runner: Runner, handle: str, role: str = "main", k: int = 0) -> list[str]:
    return "".join(runner.log_lines(handle, role, k)).split()


# --- the verdict ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_failed_role_fails_the_job_whatever_its_row(
    runner: Runner, each_cluster: SlurmCluster, first: int, packed: bool
) -> None:
    roles = [sh("echo why >&2; exit 3", "bad"), sh("exit 0", "good")]
    handle = run(runner, *(roles if first == 0 else reversed(roles)), packed=packed)
    found = ends(runner, handle, FAILED)
    assert found.msg == "bad/0 failed: exit 3: why"
    states = {role.role: role.replicas[0].state for role in found.roles}
    assert states["bad"] == FAILED


@pytest.mark.parametrize("k", range(4))
def test_a_failed_replica_stops_the_others_whichever_it_is(runner: Runner, cluster: SlurmCluster, k: int) -> None:
    script = f'[ "$XRUN_REPLICA_ID" != {k} ] || {{ sleep 1; exit 7; }}; {UNTIL_STOPPED}'
    found = ends(runner, run(runner, sh(script, num_replicas=4)), FAILED)
    assert found.msg == f"main/{k} failed: exit 7"
    assert [r.state == FAILED for r in found.roles[0].replicas] == [j == k for j in range(4)]


def test_roles_on_one_node_have_their_own_gpus(runner: Runner, cluster: SlurmCluster, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    script = f"touch {here}/$XRUN_ROLE; until [ $(ls {here} | wc -l) = 3 ]; do sleep 0.1; done; "
    script += 'echo "${CUDA_VISIBLE_DEVICES:-none}"'
    counts = {"many": 4, "few": 2, "none": 0}
    roles = [sh(script, name, resource=Resource(cpu=1, memMB=64, gpu=gpu)) for name, gpu in counts.items()]
    handle = run(runner, *roles, packed=True)
    ends(runner, handle, SUCCEEDED)
    seen = {name: words(runner, handle, name)[0].split(",") for name in counts}
    assert (len(seen["many"]), len(seen["few"]), seen["none"]) == (4, 2, ["none"])
    assert not set(seen["many"]) & set(seen["few"])


def test_all_fail_at_once(runner: Runner, cluster: SlurmCluster) -> None:
    found = ends(runner, run(runner, sh("exit 5", num_replicas=4)), FAILED)
    assert "exit 5" in found.msg


def test_a_role_that_is_not_primary_has_no_say(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh("exit 4", "helper", primary=False), sh("sleep 1; exit 0", "trainer"))
    found = ends(runner, handle, SUCCEEDED)
    assert [r.replicas[0].exit_code for r in found.roles] == [4, 0]


@pytest.mark.parametrize("policy", list(RetryPolicy))
def test_a_retry_runs_in_the_same_allocation(runner: Runner, cluster: SlurmCluster, policy: RetryPolicy) -> None:
    script = 'echo "$XRUN_ATTEMPT $SLURM_JOB_ID"; [ "$XRUN_REPLICA_ID$XRUN_ATTEMPT" != 10 ] || exit 3; sleep 1'
    handle = run(runner, sh(script, num_replicas=2, max_retries=1, retry_policy=policy))
    ends(runner, handle, SUCCEEDED)
    first, job, second, again = words(runner, handle, k=1)
    assert (first, second, job) == ("0", "1", again)


# --- nodes ---------------------------------------------------------------------------------------------------------


def test_the_address_of_rank_0_is_that_of_its_node(runner: Runner, cluster: SlurmCluster) -> None:
    script = 'echo "$XRUN_RANK0_HOST $SLURMD_NODENAME"'
    handle = run(runner, sh(script, num_replicas=2), nodelist="n2,n4")
    ends(runner, handle, SUCCEEDED)
    # the names of these nodes don't resolve
    assert [words(runner, handle, k=k) for k in range(2)] == [["127.77.0.2", "n2"], ["127.77.0.2", "n4"]]


def test_a_name_that_resolves_is_taken(
    runner: Runner, cluster: SlurmCluster, wrapped: Callable[[str, str], Path]
) -> None:
    wrapped("scontrol", 'case "$2" in hostnames) echo localhost ;; *) exec $real "$@" ;; esac')
    handle = run(runner, sh('echo "$XRUN_RANK0_HOST"', num_replicas=2))
    ends(runner, handle, SUCCEEDED)
    assert words(runner, handle) == ["localhost"]


def test_a_heterogeneous_job_on_odd_nodes(runner: Runner, cluster: SlurmCluster) -> None:
    script = 'echo "$SLURMD_NODENAME $XRUN_REPLICA_ID/$XRUN_NUM_REPLICAS $XRUN_RANK0_HOST_A $XRUN_RANK0_HOST_B"'
    roles = [sh(script, "a"), sh(script, "b", num_replicas=2)]
    handle = run(runner, *roles, exclude="n1", exclusive=True)
    found = ends(runner, handle, SUCCEEDED)
    said = {(role.role, r.id): words(runner, handle, role.role, r.id) for role in found.roles for r in role.replicas}
    nodes = {key: node for key, (node, *_) in said.items()}
    assert sorted(nodes.values()) == ["n2", "n3", "n4"]
    address = {node: f"127.77.0.{node[1]}" for node in nodes.values()}
    for (role, k), (_, number, a, b) in said.items():
        assert number == f"{k}/{1 if role == 'a' else 2}"
        assert (a, b) == (address[nodes["a", 0]], address[nodes["b", 0]])
    hosts = {(role.role, r.id): r.hostname for role in found.roles for r in role.replicas}
    assert hosts == nodes


def test_several_replicas_share_nodes(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(runner, sh('echo "$SLURMD_NODENAME"', num_replicas=5), nodes=2)
    ends(runner, handle, SUCCEEDED)
    where = [words(runner, handle, k=k)[0] for k in range(5)]
    assert len(set(where)) == 2
    assert where == sorted(where)


def test_gpus_are_shared_out_on_a_node(runner: Runner, cluster: SlurmCluster) -> None:
    handle = run(
        runner, sh('echo "$CUDA_VISIBLE_DEVICES"', num_replicas=2, resource=Resource(cpu=1, gpu=2, memMB=64)), nodes=1
    )
    ends(runner, handle, SUCCEEDED)
    seen = [words(runner, handle, k=k)[0].split(",") for k in range(2)]
    assert [len(gpus) for gpus in seen] == [2, 2]
    assert not {*seen[0]} & {*seen[1]}


def test_cpus_of_a_step_are_those_of_the_job(runner: Runner, cluster: SlurmCluster) -> None:
    # since 22.05 srun does not take them over from sbatch by itself
    script = 'echo "$SLURM_CPUS_PER_TASK $SLURM_CPUS_ON_NODE"'
    handle = run(runner, sh(script, num_replicas=2, resource=Resource(cpu=3, memMB=64)))
    ends(runner, handle, SUCCEEDED)
    assert [words(runner, handle, k=k) for k in range(2)] == [["3", "3"]] * 2


# --- what reaches a program ----------------------------------------------------------------------------------------

_TELL = (
    "import json, os, sys\n"
    "env = {k: v for k, v in os.environb.items() if k.startswith(b'H_')}\n"
    "told = [[os.fsencode(a).hex() for a in sys.argv[1:]], {k.decode(): v.hex() for k, v in env.items()}]\n"
    "print(json.dumps(told))"
)


def test_a_thousand_hostile_values(runner: Runner, cluster: SlurmCluster) -> None:
    rng = random.Random(1)
    letters = [chr(c) for c in (*range(1, 127), 0xE9, 0x2028, 0x1F600)]
    values = [*HOSTILE, *("".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(1000))]
    env = {f"H_{i}": value for i, value in enumerate(values[:600])}
    args = values[len(values) - 600 :] + list(HOSTILE)
    role = Role(
        "main", image="", entrypoint="python3", args=["-c", _TELL, *(a.replace("${", "$ {") for a in args)],
        env={k: v.replace("${", "$ {") for k, v in env.items()}, resource=Resource(cpu=1, memMB=64),
    )  # fmt: skip
    expected = [[os_bytes(a).hex() for a in role.args[2:]], {k: os_bytes(v).hex() for k, v in role.env.items()}]
    handle = run(runner, role)
    ends(runner, handle, SUCCEEDED)
    assert json.loads("".join(runner.log_lines(handle, "main", 0))) == expected


def os_bytes(text: str) -> bytes:
    return text.encode()


def test_hostile_options(runner: Runner, cluster: SlurmCluster) -> None:
    comment = "a, b 'c' \"d\" $HOME `id` \\ é #x"
    handle = run(runner, sh(UNTIL_STOPPED), comment=comment)
    reaches(runner, handle, "ready")
    assert (
        cluster.command("squeue", "--noheader", "--format=%k", f"--name={handle.rpartition('/')[2]}") == comment + "\n"
    )
    runner.cancel(handle)


def test_a_folder_with_an_odd_name(
    runner: Runner, cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / 'it\'s 100% $HOME "q" é, %j'
    odd.mkdir()
    monkeypatch.chdir(odd)
    monkeypatch.setenv("XRUN_HOME", str(odd / "home"))
    handle = run(runner, sh('pwd; echo "$0"', max_retries=1))
    ends(runner, handle, SUCCEEDED)
    assert next(iter(runner.log_lines(handle, "main", 0))) == f"{odd}\n"
