"""Slurm's commands: the only file that runs them. What they say becomes ours here."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from xrun.errors import BackendError, BackendUnavailable, shown

REFUSED = "XR143"
"""Code of what a command says no to."""

_MISSING, _UNREACHABLE, _STRANGE = "XR141", "XR142", "XR146"

PATIENCE = 60.0
"""Seconds that a command of Slurm has; by itself it gives up on a controller after ten."""

# compiled on first use: a submission that succeeds needs none of them
_AWAY = (
    r"(?i)unable to contact slurm controller|socket timed out|connection (refused|reset|timed out)"
    r"|zero bytes were trans|transport endpoint|communications? (connection )?(failure|error)|unable to establish c"
    r"|no route to host"
    r"|(protocol authentication|munge).*(error|fail)|unable to connect to database|slurm_persist_conn_open"
    r"|socket error|slurm_msg_sendto|slurm_receive_msg|slurm backup controller in standby|unexpected message received"
    r"|configuration source|unable to process configuration|resource temporarily unavailable"
)
_NEVER_SENT = r"(?i)connect failure|connection refused|authentication|munge|configuration"
_NO_CONFIG = r"(?i)configuration source|unable to process configuration"
_NO_ACCOUNTING = r"(?i)accounting storage is disabled|accounting_storage/none"
_SUBMITTED = re.compile(r"(\d+)(;[^;]+)?")
_JOB = re.compile(r"\d+([+_][^|]*)?(\|[^|]*){7,}$")
_COMMAND = r"(?m)^(sbatch|squeue|sacct|scancel|scontrol|sinfo): ?(error: ?)?"

_QUEUE = "%i|%j|%T|%r|%u|%V|%S|%e|%N"
_ACCOUNTING = "JobID,JobName,State,User,Submit,Start,End,NodeList"  # an older sacct refuses names that it does not know

_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS")
"""Variables that say which cluster is meant."""

_DEFAULTS = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_RESERVATION": "reservation",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_TIMELIMIT": "time",
}
"""A user's own defaults for sbatch -> our option, which wins; others of sbatch's variables would change the job."""

_LONGEST_LIST = 100_000  # bytes of one argument; the kernel takes 128 KiB


class Unanswered(BackendUnavailable):
    """A command was perhaps heard, and there was no answer."""

    code = _UNREACHABLE


class Row(NamedTuple):
    """A job as Slurm knows it; of a heterogeneous one, a component.

    Attributes:
        job_id: its number; of a heterogeneous job, the number of the whole.
        component: which component, 0 for the first or only one.
        name: its name.
        state: Slurm's word.
        reason: why it waits, or how it ended, in Slurm's word; empty if it does not say.
        user: whose.
        submitted: Unix time.
        started: Unix time, of the last start; 0 if none.
        ended: Unix time, 0 if it has not ended; while it runs, when its time limit is.
        nodes: where, in Slurm's short form.
    """

    job_id: str
    component: int
    name: str
    state: str
    reason: str
    user: str
    submitted: float
    started: float
    ended: float
    nodes: str


class Cluster:
    """A cluster, whichever the environment and its configuration files mean.

    Args:
        patience: seconds that a command has (default: `PATIENCE`).
    """

    def __init__(self, patience: float = 0) -> None:
        self._patience = patience or PATIENCE
        self._no_accounting = False

    def submit(self, script: str, output: str, env: Mapping[bytes, bytes]) -> str:
        """Submits a script; returns the job's number.

        Args:
            script: path of the script.
            output: path of the batch step's output.
            env: the environment that the job gets.

        Raises:
            BackendError: sbatch refuses.
            Unanswered: whether the job is there is not known.
            BackendUnavailable: it can't be reached.
        """
        said = self.run("sbatch", "--parsable", f"--output={output.replace('%', '%%')}", script, env=env)
        for line in said.splitlines():  # a site's wrapper may say more
            if number := _SUBMITTED.fullmatch(line.strip()):
                return number[1]
        raise Unanswered(f"sbatch did not say which job it made but {shown(said)}")

    def test(self, script: str, env: Mapping[bytes, bytes]) -> None:
        """Whether sbatch would take a script.

        Raises:
            BackendError: it would not.
        """
        self.run("sbatch", "--test-only", script, env=env)

    def queue(self, names: Iterable[str] = (), user: str = "") -> list[Row]:
        """Jobs that wait, run, or ended a short while ago.

        Args:
            names: only jobs of these names (default: all).
            user: only this user's.
        """
        words = ["squeue", "--noheader", "--states=all", f"--format={_QUEUE}"]
        words += _filters(names, user)
        return _rows(words[0], self.run(*words))

    def named(self, job_id: str) -> list[Row]:
        """One job by its number; empty if the queue knows none."""
        try:
            lines = self.run("squeue", "--noheader", "--states=all", f"--format={_QUEUE}", f"--jobs={job_id}")
        except BackendUnavailable:
            raise
        except BackendError:
            return []
        return _rows("squeue", lines)

    def accounting(self, names: Iterable[str], since: float) -> list[Row]:
        """Jobs that the accounting has; empty if the cluster has none.

        Args:
            names: only jobs of these names.
            since: Unix time from which it looks.
        """
        if self._no_accounting:
            return []
        begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(max(since, 0)))
        words = ["sacct", "--noheader", "--parsable2", "--allocations", f"--starttime={begin}"]
        try:
            said = self.run(*words, f"--format={_ACCOUNTING}", *_filters(names, ""))
        except BackendError as error:
            if not re.search(_NO_ACCOUNTING, str(error)):
                raise
            self._no_accounting = True
            return []
        return _rows("sacct", said)

    def cancel(self, job_id: str, *, waiting: bool) -> None:
        """Tells a job's script to end it, or takes the job out of the queue.

        Args:
            job_id: its number.
            waiting: whether it is taken out of the queue if it waits there; else the script is told.
        """
        how = ["--state=PENDING"] if waiting else ["--batch", "--signal=USR1"]
        try:
            self.run("scancel", *how, job_id)
        except BackendUnavailable:
            raise
        except BackendError:
            return  # it has ended meanwhile, or isn't in that state

    def kill(self, job_id: str) -> None:
        """Lets Slurm end a job in its own way."""
        try:
            self.run("scancel", job_id)
        except BackendUnavailable:
            raise
        except BackendError:
            return

    def run(self, *words: str, env: Mapping[bytes, bytes] | None = None) -> str:
        """Runs a command of Slurm; returns what it writes to stdout.

        Raises:
            BackendError: it is not there, or says no.
            BackendUnavailable: what it asks does not answer.
        """
        environ = _for_answers() if env is None else env
        try:
            done = subprocess.run(words, env=environ, capture_output=True, timeout=self._patience, check=False)
        except FileNotFoundError as error:
            message = f"there is no {words[0]} on PATH; run xrun where Slurm's commands are, as on a login node"
            raise BackendError(message, code=_MISSING) from error
        except subprocess.TimeoutExpired as error:
            message = f"{words[0]} gave no answer in {self._patience:g} s; scontrol ping tells more"
            raise Unanswered(message) from error
        stdout, stderr = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        if done.returncode == 0:
            return stdout
        said = "; ".join(line.strip() for line in re.sub(_COMMAND, "", stderr).splitlines() if line.strip())
        if done.returncode < 0 or not said:
            how = f"was killed by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
            raise Unanswered(f"{words[0]} {how}, and did not say why")
        if re.search(_AWAY, said):
            message = f"Slurm can't be reached ({said:.300}); try again, scontrol ping tells more"
            if re.search(_NO_CONFIG, said):
                message = (
                    f"{words[0]} finds no cluster's configuration here; SLURM_CONF names one, or run xrun elsewhere"
                )
            raise (BackendUnavailable if re.search(_NEVER_SENT, said) else Unanswered)(message, code=_UNREACHABLE)
        raise BackendError(f"{words[0]} refused: {said:.1000}", code=REFUSED)


def environment(inherited: Mapping[bytes, bytes], given: Mapping[str, object]) -> dict[bytes, bytes]:
    """The environment for sbatch, which is the job's: without what would change the job behind our back.

    Args:
        inherited: what the job is to have.
        given: our options.
    """
    env = {name: value for name, value in inherited.items() if not name.startswith((b"SBATCH_", b"SLURM_"))}
    for name in _KEPT:
        if name in os.environ:
            env[name.encode()] = os.environb[name.encode()]
    for name, option in _DEFAULTS.items():
        if name in os.environ and not given.get(option):
            env[name.encode()] = os.environb[name.encode()]
    env.setdefault(b"PATH", os.environb.get(b"PATH", os.defpath.encode()))
    return env


def _for_answers() -> dict[bytes, bytes]:
    """Our environment, without what would change how the commands answer: times come as Unix seconds."""
    changes = (b"SQUEUE_", b"SACCT_", b"SCANCEL_", b"SLURM_TIME_FORMAT")
    kept = {name: value for name, value in os.environb.items() if not name.startswith(changes)}
    return {**kept, b"SLURM_TIME_FORMAT": b"%s"}


def _filters(names: Iterable[str], user: str) -> Sequence[str]:
    joined = ",".join(names)
    filters = [f"--name={joined}"] if joined and len(joined) < _LONGEST_LIST else []
    return [*filters, f"--user={user}"] if user else filters


def _rows(command: str, said: str) -> list[Row]:
    """What squeue or sacct says of jobs.

    Raises:
        BackendError: it says something else, and nobody knows what became of a job.
    """
    lines = said.splitlines()
    strange = next((line for line in lines if line.strip() and not _JOB.match(line)), "")
    if strange and not any(map(_JOB.match, lines)):
        raise BackendError(f"{command} says no job but {shown(strange[:200])}", code=_STRANGE)
    without_reason = command == "sacct"
    return [row for line in lines if (row := _row(_fields(line, without_reason)))]


def _fields(line: str, without_reason: bool) -> list[str]:
    fields = line.split("|")
    return [*fields[:3], "", *fields[3:]] if without_reason else fields


def _row(fields: Sequence[str]) -> Row | None:
    """A line of squeue or sacct; None for one of a job array, a step, or what isn't a job."""
    if len(fields) != 9:
        return None
    number, _, component = fields[0].partition("+")
    if not number.isdigit() or not (component or "0").isdigit():
        return None
    state = fields[2].split(" ")[0].rstrip("+")  # CANCELLED by 1000
    reason = "" if fields[3] in ("None", "(null)", "NULL") else fields[3]
    submitted, started, ended = (float(text) if text.isdigit() else 0.0 for text in fields[5:8])
    nodes = "" if fields[8] in ("None assigned", "(null)") else fields[8]
    return Row(number, int(component or 0), fields[1], state, reason, fields[4], submitted, started, ended, nodes)
