"""``xrun status --watch``: a picture that is drawn over on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator

from xrun.cli import output, terminal
from xrun.cli.arrivals import arrivals
from xrun.cli.job import status_json
from xrun.cli.status_text import View, drawn
from xrun.cli.times import moment
from xrun.errors import JobNotFound
from xrun.runner.runner import Runner
from xrun.schedulers.descriptions import AppDescription

_TICK = 1.0  # seconds after which durations are drawn anew; the system isn't asked for that


def watch(runner: Runner, view: View, *, json_: bool) -> None:
    """Shows a job until it has ended.

    Raises:
        JobNotFound: it was deleted meanwhile.
    """
    if json_ or not terminal.can_redraw(1):
        _print_changes(runner, view, json_=json_)
    else:
        _redraw(runner, view)


def _redraw(runner: Runner, view: View) -> None:
    there, lines = None, 0
    try:
        for found in arrivals([_known(runner, view.handle)], _TICK):
            there = found or there
            if there is not None:
                # the cursor stands below the picture, and what has scrolled away can't be drawn over
                height = 0 if there.status.is_terminal() else terminal.size(1)[1] - 1
                lines = _draw(drawn(there, view, time.time(), height), lines)
    except KeyboardInterrupt:
        output.write(1, b"\r\033[K")  # the terminal's own ^C
        raise


def _draw(picture: list[str], before: int) -> int:
    """Draws over what was there; gives the number of lines that the terminal made of it."""
    columns = terminal.size(1)[0]
    up = f"\033[{before}A" if before else ""
    text = "".join(f"{line}\n" for line in picture)
    output.write(1, f"\r{up}\033[J{text}".encode())
    return sum(max(1, -(-terminal.width(terminal.bare(line)) // columns)) for line in picture)


def _print_changes(runner: Runner, view: View, *, json_: bool) -> None:
    before: dict[str, str] = {}
    shown: dict[str, object] = {}
    for there in _known(runner, view.handle):
        if json_:
            answer = status_json(view.handle, there.status, view.roles)
            if answer != shown:
                output.answer_json(answer)
                shown = answer
            continue
        now = dict(_states(there, view))
        for subject, text in now.items():
            if before.get(subject) != text:
                output.answer(f"{moment(time.time())}\t{subject}\t{text}")
        before = now


def _states(there: AppDescription, view: View) -> Iterator[tuple[str, str]]:
    """What can change, replicas first: the line of the job's end is the last."""
    for role in there.status.roles:
        if not view.roles or role.role in view.roles:
            for k in role.replicas:
                notes = [f"attempt {k.attempt}" if k.attempt else "", k.outcome, k.error]
                yield f"{role.role}/{k.id}", _line(k.state.name, ", ".join(filter(None, notes)))
    yield view.handle, _line(there.status.state.name, there.status.msg)


def _line(state: str, why: str) -> str:
    return f"{state}\t{terminal.clean(why)}" if why else state


def _known(runner: Runner, handle: str) -> Iterator[AppDescription]:
    for there in runner.watch(handle):
        if there is None:
            raise JobNotFound(handle, "it was deleted meanwhile")
        yield there
