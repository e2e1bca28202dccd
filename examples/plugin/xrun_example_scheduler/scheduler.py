"""``-s example``: a process of its own for each app, which starts at once; one role, no retries, few promises."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from xrun.schedulers.api import AppDescription, ListedApp, ListFilter, Scheduler
from xrun.schedulers.capabilities import Capabilities
from xrun.schedulers.folders import Folders
from xrun.schedulers.logs import LogChunk, LogQuery
from xrun.specs import AppDef, AppDryRunInfo


def create_scheduler(session: str, **_: Any) -> ExampleScheduler:
    """What the entry point names."""
    return ExampleScheduler(session)


class ExampleScheduler(Scheduler[AppDef]):
    """Runs apps of one role on this machine; xrun refuses what `capabilities` does not name."""

    name = "example"

    def __init__(self, session: str) -> None:
        super().__init__(session)
        place = os.path.join(tempfile.gettempdir(), f"xrun-example-{os.getuid()}")
        self.folders = Folders(os.environ.get("XRUN_EXAMPLE_HOME") or place)

    def capabilities(self, options: Any) -> Capabilities:
        """One primary role without retries; output of one kind; found again by every process."""
        return Capabilities(
            multi_role=False,
            non_primary=False,
            elastic=False,
            retry_policies=frozenset(),
            ports=False,
            gpus=False,
            streams=frozenset({"combined"}),
            unused=frozenset({"image", "resource.devices", "resource.capabilities"}),
        )

    def build_request(self, app: AppDef, options: Any, app_id: str) -> AppDef:
        """The job itself."""
        return app

    def submit_request(self, info: AppDryRunInfo[AppDef]) -> bool:
        """Makes the folder and starts what looks after it; that goes on by itself."""
        with self.folders.new(info, self.handle_of(info.app_id)) as command:
            if command is not None:
                subprocess.run([*command, "--detach"], check=True)
        return command is not None

    def describe_many(self, app_ids: Sequence[str]) -> Mapping[str, AppDescription]:
        """What the folders say."""
        return self.folders.describe_many(app_ids)

    def list_ours(self, wanted: ListFilter) -> Iterable[ListedApp]:
        """Every folder."""
        return self.folders.rows()

    def cancel_existing(self, app_id: str) -> None:
        """Tells the process."""
        self.folders.cancel(app_id)

    def delete_existing(self, app_id: str) -> bool:
        """Removes the folder."""
        return self.folders.remove(app_id)

    def iter_logs(self, app_id: str, query: LogQuery) -> Iterator[LogChunk]:
        """What the folder keeps."""
        return self.folders.logs(app_id, query)
