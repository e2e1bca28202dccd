"""Sizes of no cloud in particular, for defaults and examples; names and numbers are TorchX's.

``NULL`` and ``MISSING`` ask for nothing.
"""

from __future__ import annotations

from xrun.specs.resources import Resource

# Columns: name, cores, GPUs, memory in MiB.
_TABLE = (
    ("NULL", -1, -1, -1),
    ("MISSING", -1, -1, -1),
    ("gpu.small", 8, 1, 32768),
    ("gpu.medium", 16, 2, 65536),
    ("gpu.large", 32, 4, 131072),
    ("gpu.xlarge", 64, 8, 262144),
    ("cpu.nano", 1, 0, 512),
    ("cpu.micro", 1, 0, 1024),
    ("cpu.small", 1, 0, 2048),
    ("cpu.medium", 2, 0, 4096),
    ("cpu.large", 2, 0, 8192),
    ("cpu.xlarge", 8, 0, 32768),
)

RESOURCES = {name: Resource(cpu, gpu, mib) for name, cpu, gpu, mib in _TABLE}
