"""How an attempt of a replica ended, in the contract's words."""

from __future__ import annotations

import json
import signal

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of what can't be started: those that shells and container engines give."""

_LINE = 500


def unstarted(entrypoint: str, error: OSError) -> tuple[int, str]:
    """Exit code and reason of a program that can't be started."""
    code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    name = error.filename.decode("utf-8", "replace") if isinstance(error.filename, bytes) else error.filename
    path = f": {name}" if name and name != entrypoint else ""
    return code, f"can't start {entrypoint}: {error.strerror}{path}"


def signal_name(number: int) -> str:
    """``SIGKILL``, or ``signal 40`` for one without a name."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def error_line(text: str) -> str:
    """The message in an error file, in one line: torchelastic's JSON, or the text's last line."""
    if not text.strip():
        return ""
    try:
        message = json.loads(text)
    except ValueError:
        return text.strip().splitlines()[-1][:_LINE]
    while isinstance(message, dict):
        message = message.get("message", message.get("error", ""))
    return " ".join(str(message).split())[:_LINE]


def last_line(data: bytes) -> str:
    """The last line that isn't empty."""
    lines = [line for line in data.splitlines() if line.strip()]
    return lines[-1][-_LINE:].decode("utf-8", "replace").strip() if lines else ""
