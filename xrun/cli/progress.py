"""What is waited for, and for how long: said on stderr by every wait that takes more than two seconds.

On a terminal one line that changes; elsewhere a line after 2 s, 10 s, 1 min and then every 10 min, so that the log of a
CI job stays short and still shows life. A thread sleeps in between; it takes no signals and writes through `output`.
"""

from __future__ import annotations

import signal
import threading
import time
from types import TracebackType

from xrun.cli import output, terminal
from xrun.cli.times import span

_FIRST = 2.0  # seconds; shorter waits say nothing
_SAID = (_FIRST, 10.0, 60.0)  # when a line comes where lines stay
_RARELY = 600.0
_FRAMES = "|/-\\"


class Waiting:
    """A wait, for the length of a ``with``.

    Args:
        what: what is waited for, as it goes on after ``waiting for``.
        hint: what else to know, said at the end of the line.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        self._what, self._hint = what, hint
        self._note = ""
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xrun-waiting", daemon=True)

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def note(self, text: str) -> None:
        """What is known by now, such as the job's state."""
        self._note = text

    def stop(self) -> None:
        """The wait is over; what was drawn disappears. May be called twice."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            output.erase()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
        redraws = terminal.can_redraw(2)
        due, frame = _FIRST, 0
        while not self._over.wait(max(0.0, self._began + due - time.monotonic())):
            seconds = time.monotonic() - self._began
            parts = [f"waiting for {self._what}", self._note, span(seconds), self._hint]
            text = ", ".join(filter(None, parts))
            try:
                if redraws:
                    output.transient(f"{_FRAMES[frame % len(_FRAMES)]} {text}")
                else:
                    output.notice(text)
            except BaseException:  # noqa: BLE001 - nobody reads stderr any more; the wait itself goes on
                return
            frame += 1
            due = seconds + 1 if redraws else next((s for s in _SAID if s > due), due + _RARELY)
