"""What a replica gets: its environment and its words, macros replaced. The same on every backend that starts them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from xrun.specs import macros
from xrun.specs.identity import rendezvous_port
from xrun.specs.role import Role

_NO_WORD = re.compile(r"[^A-Za-z0-9]")


def rank0_variable(role_name: str) -> str:
    """Name of the variable that holds the host of replica 0 of a role."""
    return f"{macros.RANK0_HOST}_{_NO_WORD.sub('_', role_name).upper()}"


def app_values(app_id: str, role: Role, img_root: str) -> dict[str, str]:
    """Values of the macros that are the same for every replica of a role."""
    return {"app_id": app_id, "num_replicas": str(role.num_replicas), "img_root": img_root}


def replica_values(app_id: str, role: Role, img_root: str, replica_id: int) -> dict[str, str]:
    """Values of all macros for one replica."""
    return {
        **app_values(app_id, role, img_root),
        "replica_id": str(replica_id),
        "rank0_env": macros.RANK0_HOST,
    }


def contract_env(
    *, app_id: str, handle: str, role: Role, replica_id: int, attempt: int, rank0: Mapping[str, str], error_file: str
) -> dict[str, str]:
    """The XRUN_* variables of one replica.

    Args:
        app_id: the app's id.
        handle: its handle.
        role: the replica's role.
        replica_id: its number.
        attempt: 0 for the first start.
        rank0: role name -> host of that role's replica 0, for every role of the app.
        error_file: where the program may leave its last error as JSON.
    """
    env = {
        "XRUN_APP_ID": app_id,
        "XRUN_HANDLE": handle,
        "XRUN_ROLE": role.name,
        "XRUN_REPLICA_ID": str(replica_id),
        "XRUN_NUM_REPLICAS": str(role.num_replicas),
        "XRUN_ATTEMPT": str(attempt),
        "XRUN_RDZV_PORT": str(rendezvous_port(f"{app_id}/{role.name}")),
        "XRUN_ERROR_FILE": error_file,
        "TORCHELASTIC_ERROR_FILE": error_file,
        macros.RANK0_HOST: rank0[role.name],
    }
    env.update({rank0_variable(name): host for name, host in rank0.items()})
    return env


def inherited_env(env: Mapping[bytes, bytes], extra_path: str) -> dict[bytes, bytes]:
    """The launcher's environment as a job may see it: without another job's variables.

    Args:
        env: the launcher's, as bytes.
        extra_path: a folder that PATH ends with, so that our own interpreter is found where the user has none.
    """
    kept = {k: v for k, v in env.items() if k and not k.startswith((b"XRUN_", b"SLURM_"))}
    path, extra = kept.get(b"PATH", b""), extra_path.encode("utf-8", "surrogateescape")
    if extra not in path.split(b":"):
        kept[b"PATH"] = path + b":" + extra if path else extra
    return kept


def environment(
    role: Role,
    values: Mapping[str, str],
    contract: Mapping[str, str],
    inherited: Mapping[bytes, bytes],
    secrets: Mapping[str, bytes],
) -> dict[bytes, bytes]:
    """The whole environment of one replica that this host starts; later ones win: inherited, the role's, ours.

    Args:
        role: the replica's role.
        values: values of the macros.
        contract: what `contract_env` gave, and whatever else is the scheduler's to say.
        inherited: what `inherited_env` gave, or nothing.
        secrets: variable -> value.
    """
    texts = {name: macros.substitute(text, values) for name, text in role.env.items()} | dict(contract)
    own = dict(zip(encode(texts), encode(texts.values()), strict=True))
    return {b"PYTHONUNBUFFERED": b"1", **inherited, **own, **{name.encode(): v for name, v in secrets.items()}}


def encode(words: Iterable[str]) -> list[bytes]:
    """Words as the bytes a program gets: UTF-8, whatever the locale."""
    return [w.encode("utf-8", "surrogateescape") for w in words]
