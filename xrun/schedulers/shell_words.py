"""Texts of a job as words of a POSIX shell script."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from xrun.specs import macros


def word(text: str, known: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """A text as one shell word; nothing of the user's is left to the shell.

    Args:
        text: the user's text.
        known: macro -> its value.
        variables: macro -> what stands for it in a shell's double quotes, for those that only the shell knows.
    """
    if "${" not in text:
        return shlex.quote(text)
    parts = []
    for kind, part in macros.split(text):
        literal = part if kind == "text" else known.get(part)
        parts.append(shlex.quote(literal) if literal is not None else f'"{variables[part]}"')
    return "".join(parts) or "''"


def secret(reference: str) -> str:
    """A secret as one shell word: its value is never written, the shell reads it where it runs."""
    kind, _, where = reference.partition(":")
    return f'"${{{where}:?}}"' if kind == "env" else f'"$(cat {shlex.quote(where)})"'
