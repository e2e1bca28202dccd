"""Components that run one well-known program: good for a first try and as glue between steps.

The words after the options arrive at the program byte for byte; macros such as ``${app_id}`` are replaced in them.
"""

from __future__ import annotations

import xrun
from xrun.errors import InvalidValue
from xrun.specs.app import AppDef
from xrun.specs.mounts import parse_mounts
from xrun.specs.resources import Resource, resource
from xrun.specs.role import SCRIPT, Role


def echo(msg: str = "hello world", image: str = xrun.IMAGE, num_replicas: int = 1) -> AppDef:
    """Prints a message.

    Args:
        msg: the message.
        image: container image; empty for the scheduler's configured one.
        num_replicas: copies that run together.
    """
    role = Role("echo", image, "echo", [msg], num_replicas=num_replicas, resource=Resource(1, 0, 1024))
    return AppDef("echo", [role])


def touch(file: str, image: str = xrun.IMAGE) -> AppDef:
    """Creates a file, or sets its time if it is there.

    Args:
        file: path of the file.
        image: container image; empty for the scheduler's configured one.
    """
    return AppDef("touch", [Role("touch", image, "touch", [file], resource=Resource(1, 0, 1024))])


def sh(
    *args: str,
    image: str = xrun.IMAGE,
    num_replicas: int = 1,
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
    env: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
    entrypoint: str | None = None,
) -> AppDef:
    """Runs a command, or a text of the shell, with ``sh -c``.

    One word is a text of the shell as it stands, so variables, pipes and ``&&`` work in it::

        xrun utils.sh -- 'echo $HOME | wc -c'

    Several words are one command, a builtin included, and the shell reads nothing into them: each arrives as it is::

        xrun utils.sh -- ls -l 'my file'

    Args:
        args: one shell text, or a command and its arguments.
        image: container image; empty for the scheduler's configured one.
        num_replicas: copies that run together.
        cpu: cores of each replica.
        gpu: GPUs of each replica.
        memMB: memory of each replica in MiB.
        h: a named resource, which wins over cpu, gpu and memMB.
        env: environment of the command.
        max_retries: restarts after a failure.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
        entrypoint: a program that gets the words instead of sh.
    """
    if not args and entrypoint is None:
        message = "utils.sh has nothing to run; give a command, or a text of the shell as one word, after --"
        raise InvalidValue(message, code="XR034")
    if entrypoint is not None:
        program, words = entrypoint, list(args)
    elif len(args) == 1:
        program, words = "sh", ["-c", args[0]]
    else:
        # "$@" rather than quoted text: exact even where a macro puts a quote into a word
        program, words = "sh", ["-c", '"$@"', "sh", *args]
    role = _role("sh", image, program, words, num_replicas, max_retries, env, mounts)
    role.resource = resource(cpu, gpu, memMB, h)
    return AppDef("sh", [role])


def python(
    *args: str,
    m: str | None = None,
    c: str | None = None,
    script: str | None = None,
    image: str = xrun.IMAGE,
    name: str = "python",
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
    num_replicas: int = 1,
    env: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
) -> AppDef:
    """Runs Python with a module, a program text or a script.

    Args:
        args: arguments of the program.
        m: module to run, as with python -m.
        c: text of the program, as with python -c.
        script: path of the script.
        image: container image; empty for the scheduler's configured one.
        name: name of the job.
        cpu: cores of each replica.
        gpu: GPUs of each replica.
        memMB: memory of each replica in MiB.
        h: a named resource, which wins over cpu, gpu and memMB.
        num_replicas: copies that run together.
        env: environment of the program.
        max_retries: restarts after a failure.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
    """
    role = _role("python", image, "python", [*_program(m, c, script), *args], num_replicas, max_retries, env, mounts)
    role.resource = resource(cpu, gpu, memMB, h)
    if script:
        role.metadata[SCRIPT] = script
    return AppDef(name, [role])


def binary(
    *args: str,
    entrypoint: str,
    name: str = "binary",
    image: str = xrun.IMAGE,
    num_replicas: int = 1,
    cpu: int = 1,
    gpu: int = 0,
    memMB: int = 1024,
    h: str | None = None,
    env: dict[str, str] | None = None,
    max_retries: int = 0,
    mounts: list[str] | None = None,
) -> AppDef:
    """Runs a program as it is, without a shell.

    Args:
        args: arguments of the program.
        entrypoint: the program, looked up on PATH unless it holds a ``/``.
        name: name of the job.
        image: container image; empty for the scheduler's configured one.
        num_replicas: copies that run together.
        cpu: cores of each replica.
        gpu: GPUs of each replica.
        memMB: memory of each replica in MiB.
        h: a named resource, which wins over cpu, gpu and memMB.
        env: environment of the program.
        max_retries: restarts after a failure.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
    """
    role = _role("binary", image, entrypoint, list(args), num_replicas, max_retries, env, mounts)
    role.resource = resource(cpu, gpu, memMB, h)
    return AppDef(name, [role])


def copy(src: str, dst: str, image: str = xrun.IMAGE, mounts: list[str] | None = None) -> AppDef:
    """Copies a file or a folder between any two places that fsspec reads and writes.

    The image needs xrun and fsspec's package for each place, such as s3fs for ``s3://``.

    Args:
        src: path or URL of a file or a folder.
        dst: path or URL; a file goes into a folder that is there or that ends with ``/``.
        image: container image; empty for the scheduler's configured one.
        mounts: type=bind|volume|device,src=PATH,dst=PATH[,readonly].
    """
    words = ["-m", "xrun.apps.copy", src, dst]
    role = Role("copy", image, "python", words, resource=Resource(1, 0, 1024), mounts=parse_mounts(mounts or []))
    return AppDef("copy", [role])


def _role(
    name: str,
    image: str,
    entrypoint: str,
    words: list[str],
    num_replicas: int,
    max_retries: int,
    env: dict[str, str] | None,
    mounts: list[str] | None,
) -> Role:
    """A role from what the components for any program have in common; the lists are its own."""
    return Role(
        name,
        image,
        entrypoint,
        words,
        env=dict(env or {}),
        num_replicas=num_replicas,
        max_retries=max_retries,
        mounts=parse_mounts(mounts or []),
    )


def _program(m: str | None, c: str | None, script: str | None) -> list[str]:
    """What python is to run, as its own arguments."""
    given = {name: value for name, value in (("m", m), ("c", c), ("script", script)) if value is not None}
    reasons = [f"{name} is empty" for name, value in given.items() if not value and name != "c"]
    if len(given) != 1:
        reasons.insert(0, f"exactly one of m, c and script is needed, not {' and '.join(given) or 'none'}")
    if reasons:
        raise InvalidValue(f"utils.python: {'; '.join(reasons)}", code="XR034")
    return [script] if script is not None else [f"-{name}" for name in given] + list(given.values())
