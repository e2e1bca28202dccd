"""Many apps of two pods on a cluster: kubernetes_many.py render FILE COUNT, or: submit COUNT.

``render`` writes what ``kubectl create`` makes the same objects from. ``submit`` submits them and follows all to their
end.
"""

from __future__ import annotations

import json
import resource
import sys
import time

from xrun.schedulers import create_scheduler
from xrun.schedulers.kubernetes.client import Cluster
from xrun.specs import AppDef, AppState, Resource, Role, is_terminal

FAKE, LASTS = "kwok.x-k8s.io/node", "pod-complete.stage.kwok.x-k8s.io/delay"
OPTIONS = {"node_selector": {FAKE: "fake"}, "tolerations": [FAKE], "annotations": {LASTS: "1s"}}
APP = AppDef("many", [Role("main", "played:1", "true", num_replicas=2, resource=Resource(cpu=1, memMB=64))])

scheduler = create_scheduler("kubernetes", "default")
if sys.argv[1] == "render":
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("---\n".join(str(scheduler.submit_dryrun(APP, OPTIONS)) for _ in range(int(sys.argv[3]))))
    raise SystemExit

asked: list[str] = []
stream = Cluster._request


def counted(self: Cluster, what: str, *words: object, **more: object) -> object:
    """Counts what is asked of the API server."""
    asked.append(what)
    return stream(self, what, *words, **more)  # type: ignore[arg-type] # as it is called


Cluster._request = counted  # type: ignore[method-assign] # to count its calls
begin = time.monotonic()
app_ids = [scheduler.submit(APP, OPTIONS) for _ in range(int(sys.argv[2]))]
submitted, cpu = time.monotonic() - begin, time.process_time()
sent = len(asked)
for found in scheduler.watch(app_ids):
    if len(found) == len(app_ids) and all(is_terminal(there.status.state) for there in found.values()):
        break
total = time.monotonic() - begin
states = {there.status.state for there in found.values()}
if states != {AppState.SUCCEEDED}:
    raise SystemExit(f"they ended {states}")
told = {
    "submitted": submitted,
    "total": total,
    "cpu": time.process_time() - cpu,
    "asked": len(asked) - sent,
    "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}
print(json.dumps(told))
