"""Why a pod waits and how one ended, in words."""

from __future__ import annotations

import json
import re
import signal
from typing import NamedTuple

from xrun.schedulers import outcome
from xrun.schedulers.kubernetes.objects import USUAL, Pod
from xrun.schedulers.kubernetes.pod import EXIT

_NOTHING_KNOWN = "ContainerStatusUnknown"  # has an exit code that is made up
_NOT_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError")
_IN_PLACE = re.compile(rf"{EXIT} (\d+) (\d+)(?:\n|$)")
_EXCEPTION = re.compile(r"(?:\[[^\]]*\]:\s*)*([\w.]*(?:Error|Exception|Interrupt)\b.*)")
_TORCHRUN = "ChildFailedError"  # says that another program failed, and how is said elsewhere
_RULE = re.compile(r"[-=*#~_ ]+")
_SAID = re.compile(r'"message":\s*"((?:[^"\\]|\\.)*)')  # in JSON that was cut off
_ABSENT = ("not found", "no such file")
_LINE = 500


class End(NamedTuple):
    """How an attempt ended.

    Attributes:
        exit_code: None if a signal ended it.
        signal: that signal's name.
        error: its last error in one line.
        detail: the whole of what it left in its error file.
        failed: whether it ended badly.
        attempts: restarts inside the pod.
    """

    exit_code: int | None
    signal: str
    error: str
    detail: str
    failed: bool
    attempts: int


def of(pod: Pod) -> End:
    """How a pod that has ended did."""
    end = _of(pod)
    if not pod.culprit:
        return end
    said = f"{pod.culprit}: {end.error}" if end.error else pod.culprit
    return end._replace(error=said if end.error or pod.culprit not in pod.containers else f"in container {said}")


def _of(pod: Pod) -> End:
    code, message, attempts = pod.code, pod.message, 0
    inside = _IN_PLACE.match(message)
    if inside:
        code, attempts, message = int(inside[1]), int(inside[2]) - pod.attempt, message[inside.end() :]
    if pod.reason in _NOT_STARTED:
        code = outcome.NOT_FOUND if any(w in message.lower() for w in _ABSENT) else outcome.NOT_EXECUTABLE
        return End(code, "", f"can't start: {_one_line(message)}", "", True, 0)
    if pod.reason == _NOTHING_KNOWN:
        return End(None, "", "" if pod.stopped else _one_line(message), "", True, 0)
    if pod.phase == "Failed" and code in (None, 0) and not inside:
        return End(code, "", _why(pod.reason, message), "", True, 0)
    failed = bool(code)
    name = outcome.signal_name(code - 128) if code is not None and _is_signal(code) else ""
    error = detail = ""
    if failed:
        error, detail = _error(message)
        if pod.reason == "OOMKilled":
            error = f"OOMKilled: it used more memory than memMB allows{f' ({error})' if error else ''}"
    return End(None if name else code, name, error, detail, failed, max(attempts, 0))


def waiting(pod: Pod) -> str:
    """Why a pod has not begun; empty if it has, or if that is as usual."""
    if pod.phase != "Pending" or pod.reason in ("", *USUAL) or pod.stopped or pod.ended:
        return ""
    return _why(pod.reason, pod.message)


def _why(reason: str, message: str) -> str:
    said = _one_line(message)
    return f"{reason}: {said}" if reason and said else reason or said


def _error(message: str) -> tuple[str, str]:
    """One line, and the whole if it was an error file."""
    if message.lstrip().startswith("{"):
        try:
            json.loads(message)
        except ValueError:
            said = _SAID.findall(message)
            return (said[-1][:_LINE] if said else _one_line(message)), message
        return outcome.error_line(message), message
    lines = [line.strip() for line in message.splitlines() if line.strip() and not _RULE.fullmatch(line)]
    exceptions = [m[1] for line in lines if (m := _EXCEPTION.match(line)) and _TORCHRUN not in line]
    return (exceptions or lines or [""])[-1][:_LINE], ""


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_LINE]


def _is_signal(code: int) -> bool:
    return code > 128 and code - 128 in set(signal.Signals)
