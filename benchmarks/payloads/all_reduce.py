"""A distributed job that does next to nothing: one sum over all workers."""

from __future__ import annotations

import torch
import torch.distributed as dist


def main() -> None:
    dist.init_process_group("gloo")
    value = torch.ones(1)
    dist.all_reduce(value)
    assert value.item() == dist.get_world_size()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
