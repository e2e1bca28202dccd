"""The contract inside the job: variables and macros."""

from __future__ import annotations

from xrun.runner import Runner
from xrun.specs import macros
from xrun.specs.app import AppDef
from xrun.specs.states import AppState
from xrun.testing.contract.base import ContractBase, Job, launcher_env

_MACROS = {
    "${app_id}": "<id>",
    "a${app_id}b${replica_id}c": "a<id>b<k>c",
    "${num_replicas}": "2",
    "${rank0_env}": "XRUN_RANK0_HOST",
    "$${app_id}": "${app_id}",
    "$${replica_id} $${rank0_env}": "${replica_id} ${rank0_env}",
    "${APP_ID} ${HOME} $app_id $$ $": "${APP_ID} ${HOME} $app_id $$ $",
}
"""text -> what it must become, but for ``<id>`` and ``<k>``."""

_MEET = """
import os, socket, sys, time
port, me = int(os.environ["XRUN_RDZV_PORT"]), int(os.environ["XRUN_REPLICA_ID"])
if me == 0:
    with socket.create_server(("", port)) as server:
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            print(connection.recv(10).decode())
else:
    end = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection((os.environ[sys.argv[1]], port), 5) as client:
                client.sendall(b"hello")
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
"""


class EnvironmentCases(ContractBase):
    """Each replica gets the same XRUN_* variables everywhere, and macros mean the same."""

    def crew(self) -> AppDef:
        """Three trainers and, where several roles are allowed, two servers."""
        trainer = self.role("env", name="trainer", num_replicas=3)
        server = self.role("env", name="param.server-1", num_replicas=2, env={"PYTHONUNBUFFERED": "0"})
        return self.app(*([trainer, server] if self.capabilities().multi_role else [trainer]))

    def crew_env(self, runner: Runner) -> tuple[Job, dict[tuple[str, int], dict[str, str]]]:
        """The crew and the environment of each of its replicas."""
        leak = {"XRUN_LEAKED": "yes", "XRUN_APP_ID": "wrong", "XRUN_ATTEMPT": "7", "SLURM_JOB_ID": "9"}
        with launcher_env(**leak, PYTHONUNBUFFERED=None, CONTRACT_INHERITED="yes"):
            job = self.run_once(runner, self.crew)
        assert job is not None
        status = job.ends(AppState.SUCCEEDED)
        keys = [(r.role, k.id) for r in status.roles for k in r.replicas]
        return job, {key: _variables(job.lines(*key)) for key in keys}

    def test_several_roles_run_or_are_refused(self, runner: Runner) -> None:
        """Several roles run."""
        roles = [self.role("echo one", name="one"), self.role("echo two", name="two")]
        job = self.run_or_be_refused(runner, self.app(*roles))
        if job is not None:
            job.ends(AppState.SUCCEEDED)
            assert (job.lines("one"), job.lines("two")) == (["one\n"], ["two\n"])

    def test_each_replica_knows_its_app_role_and_number(self, runner: Runner) -> None:
        """Each replica knows its app, role and number."""
        job, found = self.crew_env(runner)
        assert {key[0]: sum(k[0] == key[0] for k in found) for key in found}["trainer"] == 3
        for (role, k), env in found.items():
            assert env["XRUN_APP_ID"] == job.app_id
            assert env["XRUN_HANDLE"] == job.handle
            assert (env["XRUN_ROLE"], env["XRUN_REPLICA_ID"]) == (role, str(k))
            assert env["XRUN_NUM_REPLICAS"] == ("3" if role == "trainer" else "2")
            assert env["XRUN_ATTEMPT"] == "0"

    def test_each_replica_knows_rank_0_of_every_role(self, runner: Runner) -> None:
        _, found = self.crew_env(runner)
        for role in {role for role, _ in found}:
            variable = "XRUN_RANK0_HOST_" + role.upper().replace(".", "_").replace("-", "_")
            hosts = {env[variable] for env in found.values()}
            own = {env["XRUN_RANK0_HOST"] for key, env in found.items() if key[0] == role}
            assert len(hosts) == 1
            assert own == hosts != {""}

    def test_the_error_file_is_given_to_torchelastic_too(self, runner: Runner) -> None:
        for env in self.crew_env(runner)[1].values():
            # torchelastic removes the file before it writes it, so where that can't be done it has one of its own
            assert env["XRUN_ERROR_FILE"] != ""
            assert env["TORCHELASTIC_ERROR_FILE"] != ""

    def test_the_rendezvous_port_is_one_for_a_role(self, runner: Runner) -> None:
        _, found = self.crew_env(runner)
        ports = {env["XRUN_RDZV_PORT"] for key, env in found.items() if key[0] == "trainer"}
        assert len(ports) == 1
        assert 20000 <= int(ports.pop()) <= 29999

    def test_python_is_unbuffered_unless_set(self, runner: Runner) -> None:
        """Python is unbuffered unless told otherwise."""
        for (role, _), env in self.crew_env(runner)[1].items():
            assert env["PYTHONUNBUFFERED"] == ("1" if role == "trainer" else "0")

    def test_another_jobs_variables_do_not_leak(self, runner: Runner) -> None:
        """Another job's variables do not leak."""
        for env in self.crew_env(runner)[1].values():
            assert "XRUN_LEAKED" not in env
            assert "SLURM_JOB_ID" not in env or env["SLURM_JOB_ID"] != "9"

    def test_the_launchers_environment_is_inherited_where_it_should(self, runner: Runner) -> None:
        """The launcher's environment is inherited where it should be (not in containers)."""
        for env in self.crew_env(runner)[1].values():
            assert env.get("CONTRACT_INHERITED") == ("yes" if self.inherits_env else None)

    def test_inherit_env_false_gives_only_what_the_job_sets(self, runner: Runner) -> None:
        """`inherit_env=false` gives only what the job sets."""
        with launcher_env(CONTRACT_INHERITED="yes"):
            job = self.run(runner, self.app(self.role("env", env={"MINE": "1"})), inherit_env=False)
        job.ends(AppState.SUCCEEDED)
        env = _variables(job.lines())
        assert "CONTRACT_INHERITED" not in env
        assert env["MINE"] == "1"
        assert env["XRUN_APP_ID"] == job.app_id

    def test_macros_in_args_and_env(self, runner: Runner) -> None:
        texts = list(_MACROS)
        script = "printf '%s\\n' \"$@\"; " + "".join(f"printf '%s\\n' \"$M{i}\"; " for i in range(len(texts)))
        role = self.role(script, *texts, num_replicas=2, env={f"M{i}": text for i, text in enumerate(texts)})
        job = self.run(runner, self.app(role))
        job.ends(AppState.SUCCEEDED)
        for k in range(2):
            wanted = [text.replace("<id>", job.app_id).replace("<k>", str(k)) for text in _MACROS.values()]
            assert job.lines("main", k) == [w + "\n" for w in wanted * 2]

    def test_img_root_is_replaced(self, runner: Runner) -> None:
        """`${img_root}` is replaced."""
        job = self.run(runner, self.app(self.role('echo "<$1>"', macros.img_root)))
        job.ends(AppState.SUCCEEDED)
        assert "img_root" not in job.lines()[0]

    def test_rank0_env_names_a_variable_with_the_host(self, runner: Runner) -> None:
        """`${rank0_env}` names a variable with the host."""
        role = self.role('printenv "$1"; printenv XRUN_RANK0_HOST', macros.rank0_env, num_replicas=2)
        job = self.run(runner, self.app(role))
        job.ends(AppState.SUCCEEDED)
        first, second = job.lines("main", 1)
        assert first == second

    def test_rank_0_is_reached_under_its_host_and_port(self, runner: Runner) -> None:
        role = self.program(self.python, "-c", _MEET, macros.rank0_env, num_replicas=2)
        job = self.run(runner, self.app(role))
        job.ends(AppState.SUCCEEDED)
        assert job.lines("main", 0) == ["hello\n"]

    def test_nine_replicas_each_have_their_own_number(self, runner: Runner) -> None:
        job = self.run(runner, self.app(self.role('echo "$XRUN_REPLICA_ID of $XRUN_NUM_REPLICAS"', num_replicas=9)))
        job.ends(AppState.SUCCEEDED)
        assert [job.lines("main", k) for k in range(9)] == [[f"{k} of 9\n"] for k in range(9)]


def _variables(lines: list[str]) -> dict[str, str]:
    pairs = (line.rstrip("\n").partition("=") for line in lines)
    return {name: value for name, equals, value in pairs if equals}
