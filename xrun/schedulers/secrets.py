"""Secrets, resolved where a job is submitted; what is shown of one is its reference, never its value."""

from __future__ import annotations

from collections.abc import Mapping

from xrun.errors import InvalidValue


def resolve(references: Mapping[str, str], env: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """Values of secrets, by the name of the variable they go to.

    Args:
        references: variable -> ``env:NAME`` or ``file:PATH`` (whose last newline is dropped).
        env: the launcher's environment.

    Raises:
        InvalidValue: one can't be had.
    """
    return {name: _value(name, reference, env) for name, reference in references.items()}


def _value(name: str, reference: str, env: Mapping[bytes, bytes]) -> bytes:
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = env.get(where.encode())
        if value is None:
            message = f"secret {name}: the environment variable {where} is not set here; export it, or use file:PATH"
            raise InvalidValue(message, code="XR053")
        return value
    try:
        with open(where, "rb") as file:
            value = file.read().removesuffix(b"\n")
    except OSError as error:
        message = f"secret {name}: can't read {where}: {error.strerror}; check the path and who may read it"
        raise InvalidValue(message, code="XR053") from error
    if b"\0" in value:
        message = f"secret {name}: the file {where} holds a NUL byte, which no environment can carry; encode it as text"
        raise InvalidValue(message, code="XR053")
    return value
