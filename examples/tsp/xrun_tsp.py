"""``-s tsp``: jobs wait in task-spooler's queue and run on this machine, as many at once as ``tsp -S`` says."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xrun.errors import BackendError
from xrun.schedulers import gang
from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Probe, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.folders import Folders
from xrun.schedulers.home import home
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.specs import AppDef, AppDryRunInfo

# a row of `tsp -l`: number, state, output file, [label], command
_ROW = re.compile(r"^(\d+) +(\w+) .*?\[([a-z0-9-]+)\]", re.MULTILINE)


def tsp(*words: str) -> str:
    """Runs task-spooler's command and gives what it printed."""
    try:
        return subprocess.run(["tsp", *words], check=True, capture_output=True, text=True).stdout
    except OSError as error:
        raise BackendError(f"can't run tsp: {error.strerror}; Debian: apt-get install task-spooler") from error
    except subprocess.CalledProcessError as error:
        raise BackendError(f"tsp {words[0]}: {error.stderr.strip()}") from error


def rows(*states: str) -> dict[str, str]:
    """Jobs in one of these states: app id -> task-spooler's number."""
    return {label: number for number, state, label in _ROW.findall(tsp("-l")) if state in states}


def create_scheduler(session: str, **_: Any) -> TspScheduler:
    """What the entry point names."""
    return TspScheduler(session)


class TspScheduler(Scheduler[AppDef]):
    """A job is a labelled command in the queue; what it is and does is in a folder of ours."""

    name = "tsp"

    def __init__(self, session: str) -> None:
        super().__init__(session)
        self.folders = Folders(os.path.join(home(), "tsp"), lambda: rows("queued", "running"))

    def capabilities(self, options: Any) -> Capabilities:
        """What processes of one machine can do; cpu, memMB and GPUs are nothing to task-spooler."""
        return gang.CAPABILITIES

    def build_request(self, app: AppDef, options: Any, app_id: str) -> AppDef:
        """The job as it is: the command is the same for all, and finds the job in its folder."""
        return app

    def submit_request(self, info: AppDryRunInfo[AppDef]) -> bool:
        """Makes the folder, then queues the command that runs what is in it."""
        with self.folders.new(info, self.handle_of(info.app_id)) as command:
            if command is not None:
                tsp("-n", "-L", info.app_id, *command)
        return command is not None

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """What the folders say."""
        return self.folders.describe_many(app_ids)

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Every folder."""
        return self.folders.rows()

    def cancel_existing(self, app_id: str) -> None:
        """Tells what runs the job; one that still waits leaves the queue."""
        self.folders.cancel(app_id)
        if number := rows("queued").get(app_id):
            tsp("-r", number)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the folder, and the job from the list of those that have ended."""
        if number := rows("running", "finished").get(app_id):
            subprocess.run(["tsp", "-w", number], check=False)  # it has written its last word, and goes in a moment
            tsp("-r", number)
        return self.folders.remove(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What the folder keeps."""
        return self.folders.logs(app_id, query)

    def probe(self) -> list[Probe]:
        """Whether task-spooler is there, and how many jobs it runs at once."""
        return [Probe("task-spooler", True, f"jobs at once: {tsp('-S').strip()}")]
