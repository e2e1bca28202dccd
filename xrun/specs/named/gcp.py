"""Google Cloud machines with GPUs, as ``gcp_<machine type>``.

Memory is 96 % of the machine's (see `xrun.specs.named.machine`); what Google calls a GB here is 1024 MiB. Machines with
less than a whole GPU are left out. Each group of rows names the page its numbers were read on.
"""

from __future__ import annotations

from xrun.specs.named.machine import machine

# machine type, vCPU, GPU, memory (GiB)
_TABLE = (
    # https://github.com/Cyclenerd/google-cloud-pricing-cost-calculator/blob/master/build/gcp.yml
    ("a2-highgpu-1g", 12, 1, 85),
    ("a2-highgpu-2g", 24, 2, 170),
    ("a2-highgpu-4g", 48, 4, 340),
    ("a2-highgpu-8g", 96, 8, 680),
    ("a2-megagpu-16g", 96, 16, 1360),
    ("a2-ultragpu-1g", 12, 1, 170),
    ("a2-ultragpu-2g", 24, 2, 340),
    ("a2-ultragpu-4g", 48, 4, 680),
    ("a2-ultragpu-8g", 96, 8, 1360),
    ("g2-standard-4", 4, 1, 16),
    ("g2-standard-8", 8, 1, 32),
    ("g2-standard-12", 12, 1, 48),
    ("g2-standard-16", 16, 1, 64),
    ("g2-standard-24", 24, 2, 96),
    ("g2-standard-32", 32, 1, 128),
    ("g2-standard-48", 48, 4, 192),
    ("g2-standard-96", 96, 8, 384),
    # https://github.com/skypilot-org/skypilot-catalog/blob/master/catalogs/v7/gcp/vms.csv (the GPUs are in the name)
    ("a3-highgpu-1g", 26, 1, 234),
    ("a3-highgpu-2g", 52, 2, 468),
    ("a3-highgpu-4g", 104, 4, 936),
    ("a3-highgpu-8g", 208, 8, 1872),
    ("a3-edgegpu-8g", 208, 8, 1872),
    ("a3-megagpu-8g", 208, 8, 1872),
    ("a3-ultragpu-8g", 224, 8, 2952),
    # https://github.com/skypilot-org/skypilot-catalog/blob/master/catalogs/v8/gcp/vms.csv
    ("a4-highgpu-8g", 224, 8, 3968),
    # https://github.com/Cyclenerd/google-cloud-compute-machine-types/issues/46
    ("g4-standard-48", 48, 1, 180),
    ("g4-standard-96", 96, 2, 360),
    ("g4-standard-192", 192, 4, 720),
    ("g4-standard-384", 384, 8, 1440),
)

RESOURCES = {f"gcp_{name}": machine(name, cpu, gpu, gib) for name, cpu, gpu, gib in _TABLE}
