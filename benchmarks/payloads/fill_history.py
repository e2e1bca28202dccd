"""Fills a history with jobs that have ended.

fill_history.py COUNT
"""

from __future__ import annotations

import sys
import time

from xrun.runner import get_runner
from xrun.runner.gitinfo import GitInfo
from xrun.runner.recorder import submission

STATES = ("SUCCEEDED", "SUCCEEDED", "FAILED", "CANCELLED")

with get_runner() as runner:
    info = runner.dryrun_component("utils.echo", ["--msg", "hello"], "local")
    now = time.time()
    for number in range(int(sys.argv[1])):
        job = submission(info, f"local://default/echo-{number:05}", GitInfo("a" * 40, dirty=False))
        job = job._replace(submitted=now - 60 * number, ended=now - 60 * number + 30, state=STATES[number % 4])
        runner.history.record(job, new=True)
