"""Azure machines with NVIDIA GPUs, as ``azure_<size>``.

Memory is 96 % of the machine's (see `xrun.specs.named.machine`); what some of Azure's pages call a GB is a GiB. Sizes
with less than a whole GPU are left out. Each group of rows names the page its numbers were read on, below
https://github.com/MicrosoftDocs/azure-compute-docs/blob/main/articles/virtual-machines/sizes/gpu-accelerated/, which is
the text of https://learn.microsoft.com/azure/virtual-machines/sizes/gpu-accelerated/.
"""

from __future__ import annotations

from xrun.specs.named.machine import machine

# Columns: size, vCPU, GPU, memory in GiB.
_TABLE = (
    # ncast4v3-series.md
    ("Standard_NC4as_T4_v3", 4, 1, 28),
    ("Standard_NC8as_T4_v3", 8, 1, 56),
    ("Standard_NC16as_T4_v3", 16, 1, 110),
    ("Standard_NC64as_T4_v3", 64, 4, 440),
    # nvadsa10v5-series.md
    ("Standard_NV36ads_A10_v5", 36, 1, 440),
    ("Standard_NV36adms_A10_v5", 36, 1, 880),
    ("Standard_NV72ads_A10_v5", 72, 2, 880),
    # nca100v4-series.md
    ("Standard_NC24ads_A100_v4", 24, 1, 220),
    ("Standard_NC48ads_A100_v4", 48, 2, 440),
    ("Standard_NC96ads_A100_v4", 96, 4, 880),
    # ndasra100v4-series.md
    ("Standard_ND96asr_v4", 96, 8, 900),
    # ndma100v4-series.md
    ("Standard_ND96amsr_A100_v4", 96, 8, 1900),
    # ncadsh100v5-series.md
    ("Standard_NC40ads_H100_v5", 40, 1, 320),
    ("Standard_NC80adis_H100_v5", 80, 2, 640),
    # nccadsh100v5-series.md
    ("Standard_NCC40ads_H100_v5", 40, 1, 320),
    # ndh100v5-series.md
    ("Standard_ND96isr_H100_v5", 96, 8, 1900),
    # nd-h200-v5-series.md
    ("Standard_ND96isr_H200_v5", 96, 8, 1850),
    # nd-gb200-v6-series.md
    ("Standard_ND128isr_NDR_GB200_v6", 128, 4, 900),
    # nd-gb300-v6-series.md
    ("Standard_ND128isr_GB300_v6", 128, 4, 864),
    ("Standard_ND128isrG5_GB300_v6", 128, 4, 864),
)

RESOURCES = {f"azure_{name}": machine(name, cpu, gpu, gib) for name, cpu, gpu, gib in _TABLE}
