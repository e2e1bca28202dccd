"""How long a pod's first line is on its way from the kubelet's file to us: kubernetes_first_line.py LOGS IMAGE COUNT.

LOGS is the folder where the kubelet of the same machine keeps the logs of pods.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from xrun.schedulers import create_scheduler
from xrun.schedulers.logs import LogQuery
from xrun.specs import AppDef, Role

logs, image, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def watch(app_id: str, seen: list[float]) -> None:
    """Notes when the kubelet has a first line."""
    while not seen:
        if any(file.stat().st_size for file in logs.glob(f"*_{app_id}-*/main/0.log")):
            seen.append(time.time())
        time.sleep(0.001)


scheduler = create_scheduler("kubernetes", "default")
behind = []
for _ in range(count):
    seen: list[float] = []
    app_id = scheduler.submit(AppDef("line", [Role("main", image, "sh", ["-c", "sleep 1; echo hi; sleep 1"])]), {})
    watcher = threading.Thread(target=watch, args=(app_id, seen))
    watcher.start()
    next(chunk for chunk in scheduler.iter_logs(app_id, LogQuery(follow=True)) if chunk.data)
    now = time.time()
    watcher.join()
    behind.append(now - seen[0])
    scheduler.delete(app_id)
print(json.dumps({"behind": behind}))
