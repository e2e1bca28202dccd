"""AWS machines as ``aws_<instance type>``; names and numbers are TorchX's.

Memory is 96 % of the machine's (see `xrun.specs.named.machine`). EFA counts network interfaces for
``vpc.amazonaws.com/efa``, neuron counts Trainium and Inferentia chips for ``aws.amazon.com/neurondevice``.

The numbers are those of https://github.com/meta-pytorch/torchx/blob/main/torchx/specs/named_resources_aws.py.
"""

from __future__ import annotations

from xrun.specs.named.machine import machine

EFA = "vpc.amazonaws.com/efa"
NEURON = "aws.amazon.com/neurondevice"

# instance type, vCPU, GPU, memory (GiB), EFA, neuron
_TABLE = (
    ("t3.medium", 2, 0, 4, 0, 0),
    # 144 GiB in truth, of which 96 % still don't fit beside the agents of such a node
    ("c5.18xlarge", 72, 0, 142, 0, 0),
    ("m5.large", 2, 0, 8, 0, 0),
    ("m5.xlarge", 4, 0, 16, 0, 0),
    ("m5.2xlarge", 8, 0, 32, 0, 0),
    ("m5.4xlarge", 16, 0, 64, 0, 0),
    ("m5.8xlarge", 32, 0, 128, 0, 0),
    ("m5.12xlarge", 48, 0, 192, 0, 0),
    ("m5.16xlarge", 64, 0, 256, 0, 0),
    ("m5.24xlarge", 96, 0, 384, 0, 0),
    ("m5.metal", 96, 0, 384, 0, 0),
    ("m5d.large", 2, 0, 8, 0, 0),
    ("m5d.xlarge", 4, 0, 16, 0, 0),
    ("m5d.2xlarge", 8, 0, 32, 0, 0),
    ("m5d.4xlarge", 16, 0, 64, 0, 0),
    ("m5d.8xlarge", 32, 0, 128, 0, 0),
    ("m5d.12xlarge", 48, 0, 192, 0, 0),
    ("m5d.16xlarge", 64, 0, 256, 0, 0),
    ("m5d.24xlarge", 96, 0, 384, 0, 0),
    ("m5d.metal", 96, 0, 384, 0, 0),
    ("p3.2xlarge", 8, 1, 61, 0, 0),
    ("p3.8xlarge", 32, 4, 244, 0, 0),
    ("p3.16xlarge", 64, 8, 488, 0, 0),
    ("p3dn.24xlarge", 96, 8, 768, 1, 0),
    ("p4d.24xlarge", 96, 8, 1152, 4, 0),
    ("p4de.24xlarge", 96, 8, 1152, 4, 0),
    ("p5.48xlarge", 192, 8, 2048, 32, 0),
    ("p5e.48xlarge", 192, 8, 2048, 32, 0),
    ("p5en.48xlarge", 192, 8, 2048, 16, 0),
    ("p6-b200.48xlarge", 192, 8, 2048, 8, 0),
    ("p6-b300.48xlarge", 192, 8, 4096, 16, 0),
    ("p6e-gb200.36xlarge", 144, 4, 960, 16, 0),
    ("g4dn.xlarge", 4, 1, 16, 0, 0),
    ("g4dn.2xlarge", 8, 1, 32, 0, 0),
    ("g4dn.4xlarge", 16, 1, 64, 0, 0),
    ("g4dn.8xlarge", 32, 1, 128, 1, 0),
    ("g4dn.12xlarge", 48, 4, 192, 1, 0),
    ("g4dn.16xlarge", 64, 1, 256, 1, 0),
    ("g4dn.metal", 96, 8, 384, 1, 0),
    ("g5.xlarge", 4, 1, 16, 0, 0),
    ("g5.2xlarge", 8, 1, 32, 0, 0),
    ("g5.4xlarge", 16, 1, 64, 0, 0),
    ("g5.8xlarge", 32, 1, 128, 1, 0),
    ("g5.12xlarge", 48, 4, 192, 1, 0),
    ("g5.16xlarge", 64, 1, 256, 1, 0),
    ("g5.24xlarge", 96, 4, 384, 1, 0),
    ("g5.48xlarge", 192, 8, 768, 1, 0),
    ("g6e.xlarge", 4, 1, 32, 0, 0),
    ("g6e.2xlarge", 8, 1, 64, 0, 0),
    ("g6e.4xlarge", 16, 1, 128, 0, 0),
    ("g6e.8xlarge", 32, 1, 256, 0, 0),
    ("g6e.12xlarge", 48, 4, 384, 0, 0),
    ("g6e.16xlarge", 64, 1, 512, 0, 0),
    ("g6e.24xlarge", 96, 4, 768, 2, 0),
    ("g6e.48xlarge", 192, 8, 1536, 4, 0),
    ("trn1.2xlarge", 8, 0, 32, 0, 1),
    ("trn1.32xlarge", 128, 0, 512, 8, 16),
    ("inf2.xlarge", 4, 0, 16, 0, 1),
    ("inf2.8xlarge", 32, 0, 128, 0, 1),
    ("inf2.24xlarge", 96, 0, 384, 0, 6),
    ("inf2.48xlarge", 192, 0, 768, 0, 12),
)

RESOURCES = {
    f"aws_{name}": machine(name, cpu, gpu, gib, {EFA: efa, NEURON: neuron})
    for name, cpu, gpu, gib, efa, neuron in _TABLE
}
