"""Renders a role of many replicas for Slurm, as a dry run through the API does: slurm_render.py REPLICAS COUNT."""

from __future__ import annotations

import json
import sys
import time

from xrun.runner import get_runner
from xrun.specs import AppDef, Resource, Role

replicas, count = map(int, sys.argv[1:])
role = Role(
    "trainer",
    image="",
    entrypoint="python3",
    args=["train.py", "--name", "a b", "--out", "${app_id}/${replica_id}"],
    env={f"NAME{i}": f"value {i}" for i in range(5)},
    num_replicas=replicas,
    resource=Resource(cpu=8, gpu=8, memMB=65536),
)
with get_runner() as runner:
    text = str(runner.dryrun(AppDef("train", [role]), "slurm"))
    begin = time.perf_counter()
    for _ in range(count):
        text = str(runner.dryrun(AppDef("train", [role]), "slurm"))
    seconds = (time.perf_counter() - begin) / count
print(json.dumps({"seconds": seconds, "bytes": len(text.encode())}))
