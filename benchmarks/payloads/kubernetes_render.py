"""Renders dist.ddp for Kubernetes, as a dry run through the API does: kubernetes_render.py REPLICAS COUNT."""

from __future__ import annotations

import json
import sys
import time

from xrun.components.dist import ddp
from xrun.runner import get_runner

replicas, count = map(int, sys.argv[1:])
app = ddp(script="/app/train.py", j=f"{replicas}x8", gpu=8, image="registry/team/train:1")
with get_runner() as runner:
    text = str(runner.dryrun(app, "kubernetes"))
    begin = time.perf_counter()
    for _ in range(count):
        text = str(runner.dryrun(app, "kubernetes"))
    seconds = (time.perf_counter() - begin) / count
print(json.dumps({"seconds": seconds, "bytes": len(text.encode())}))
