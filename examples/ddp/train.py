"""Trains a small network on scikit-learn's handwritten digits with DistributedDataParallel.

The data are 1,797 real scans of 8 x 8 pixels; a fifth is held out. Start it through xrun (see README.md in this
folder) or with torchrun. It writes a checkpoint after every epoch and resumes from it if it's killed; when it's done,
the checkpoint becomes the finished model, so that the next run starts from the beginning.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

SEED = 0
HELD_OUT = 0.2

Batches = DataLoader[tuple[Tensor, ...]]


@dataclass(frozen=True)
class Settings:
    """What must stay the same for a checkpoint to be resumed."""

    batch_size: int
    lr: float


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="times through the training scans")
    parser.add_argument("--batch-size", type=int, default=32, help="scans in a step, for each worker")
    parser.add_argument("--lr", type=float, default=0.002, help="learning rate")
    parser.add_argument(
        "--checkpoint-dir",
        type=Path,
        default=Path("checkpoints/ddp-digits"),
        help="folder for checkpoint.pt and model.pt; one run at a time",
    )
    args = parser.parse_args()
    if args.epochs < 1 or args.batch_size < 1:
        parser.error("--epochs and --batch-size must be 1 or more")
    return args


def load_data() -> tuple[TensorDataset, TensorDataset]:
    """The scans as (training, held out), split the same way in every worker and every run."""
    digits = load_digits()
    pixels = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target, dtype=torch.long)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    held_out, training = order.split([round(HELD_OUT * len(order)), len(order) - round(HELD_OUT * len(order))])
    return TensorDataset(pixels[training], labels[training]), TensorDataset(pixels[held_out], labels[held_out])


def build_model() -> nn.Module:
    """A network of two layers; every worker starts with the same weights."""
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def start_process_group() -> torch.device:
    """Joins the other workers: over NCCL if each worker of this machine has a GPU of its own, else over gloo."""
    if not dist.is_torchelastic_launched():
        raise SystemExit("start it with `xrun dist.ddp -j 1x2 --script examples/ddp/train.py`, or with torchrun")
    local_rank = int(os.environ["LOCAL_RANK"])
    if torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"]):
        torch.cuda.set_device(local_rank)
        device = torch.device("cuda", local_rank)
        dist.init_process_group("nccl", device_id=device)
        return device
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    return torch.device("cpu")


def train_epoch(model: nn.Module, batches: Batches, optimizer: torch.optim.Optimizer, device: torch.device) -> float:
    """One pass over this worker's share of the scans; answers the mean loss over all workers."""
    total = torch.zeros(2, device=device)
    for batch in batches:
        pixels, labels = (part.to(device) for part in batch)
        loss = nn.functional.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += torch.stack([loss.detach() * len(labels), torch.tensor(float(len(labels)), device=device)])
    dist.all_reduce(total)
    return float(total[0] / total[1])


@torch.no_grad()
def measure_accuracy(model: nn.Module, data: TensorDataset, device: torch.device) -> float:
    """The share of the scans that the model reads rightly; each worker looks at its own part of them."""
    pixels, labels = (part[dist.get_rank() :: dist.get_world_size()].to(device) for part in data.tensors)
    right = (model(pixels).argmax(dim=1) == labels).sum()
    dist.all_reduce(right)
    return int(right) / len(data)


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint beside the old one, then puts it in its place: a kill leaves one or the other, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    with unfinished.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, settings: Settings, epochs: int) -> int:
    """Loads the checkpoint of a run that was killed; answers how many epochs it had done, 0 without one."""
    if not path.exists():
        return 0
    content = torch.load(path, map_location="cpu", weights_only=True)
    done = int(content["epoch"])
    if content["settings"] != asdict(settings) or done > epochs:
        raise SystemExit(
            f"{path} is of an unfinished run with {content['settings']}, at epoch {done}; this one has "
            f"{asdict(settings)} and {epochs} epochs. Remove the file, or name another folder with --checkpoint-dir"
        )
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])
    return done


@record  # an exception of a worker becomes the job's error message
def main() -> None:
    """Trains, measures, and keeps the model."""
    args = parse_args()
    device = start_process_group()
    first = dist.get_rank() == 0
    training, held_out = load_data()
    model = build_model().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    settings = Settings(args.batch_size, args.lr)

    checkpoint = args.checkpoint_dir / "checkpoint.pt"
    done = resume(checkpoint, model, optimizer, settings, args.epochs)
    dist.barrier()  # nobody writes before everybody has read
    if first and done:
        print(f"resumed from epoch {done}", flush=True)

    parallel = DistributedDataParallel(model)
    sampler: DistributedSampler[tuple[Tensor, ...]] = DistributedSampler(training, seed=SEED, drop_last=True)
    batches: Batches = DataLoader(training, batch_size=args.batch_size, sampler=sampler)
    for epoch in range(done + 1, args.epochs + 1):
        sampler.set_epoch(epoch)
        loss = train_epoch(parallel, batches, optimizer, device)
        if first:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            save(checkpoint, {"epoch": epoch, "settings": asdict(settings), **state})
            print(f"epoch {epoch}/{args.epochs} loss {loss:.4f}", flush=True)

    accuracy = measure_accuracy(model, held_out, device)
    if first:
        checkpoint.replace(args.checkpoint_dir / "model.pt")
        print(f"held-out accuracy {accuracy:.4f} on {len(held_out)} scans", flush=True)
    dist.barrier()  # nobody leaves before the model is in its place
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
    # A thread of gloo that still holds a tensor while Python ends aborts the process; so Python doesn't end, it stops.
    sys.stdout.flush()
    os._exit(0)
