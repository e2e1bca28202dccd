"""``python -m xrun.schedulers.supervise FOLDER [--detach]``: the program that runs the app of a folder.

It ends when the app does: exit code 0 if it succeeded, 7 if it was cancelled (SIGTERM), else 1. With ``--detach`` it
returns once the app is looked after, and goes on by itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from xrun.schedulers import folders
from xrun.schedulers.gang import Gang, Surroundings, inherited
from xrun.schedulers.logs import LogChunk
from xrun.specs.options import CommonOptions
from xrun.specs.serialize import from_dict, to_plain
from xrun.specs.states import AppState
from xrun.specs.status import AppStatus

_EXIT_CODES = {AppState.SUCCEEDED: 0, AppState.CANCELLED: 7}


class _Files:
    """The record of a gang, in its folder.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._output = os.open(folder / folders.OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.state = AppState.PENDING

    def status(self, status: AppStatus) -> None:
        """Replaces the file, so that a reader finds all of the old one or all of the new."""
        fresh = self._folder / f".{folders.STATUS}"
        fresh.write_text(json.dumps(to_plain(status)))
        fresh.replace(self._folder / folders.STATUS)
        self.state = status.state

    def output(self, chunk: LogChunk) -> None:
        """Appends to the file."""
        data = memoryview(folders.chunk_bytes(chunk))
        while data:
            data = data[os.write(self._output, data) :]


def main(words: Sequence[str]) -> int:
    """Runs an app to its end."""
    folder = Path(words[0])
    _redirect(folder / folders.LOG)
    lock = folders.take_lock(folder / folders.SUPERVISED)
    if "--detach" in words:
        if os.fork():
            os._exit(0)
        os.setsid()
    head = json.loads((folder / folders.HEAD).read_bytes())
    roles = from_dict(head["app"]).roles
    options = CommonOptions(**{f.name: head["options"][f.name] for f in fields(CommonOptions)})
    around = Surroundings(inherited(options), folders.take_secrets(folder, len(roles)), head["workdir"])
    record = _Files(folder)
    gang = Gang(folder.name, head["handle"], roles, options, around, head["submitted"], record)
    signal.signal(signal.SIGTERM, lambda *_: gang.cancel())
    os.pwrite(lock, f"{os.uname().nodename} {os.getpid()}".encode(), 0)
    if (folder / folders.CANCELLED).exists():  # after what `Folders.cancel` looks for, so that one of the two sees it
        gang.cancel()
    gang.run()
    return _EXIT_CODES.get(record.state, 1)


def _redirect(log: Path) -> None:
    """Input from nowhere, output to a file: a system may have closed them, or keep them for itself."""
    nowhere, file = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nowhere, 0), (file, 1), (file, 2)):
        os.dup2(source, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
