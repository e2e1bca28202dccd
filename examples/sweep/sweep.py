"""Trains with several learning rates at once, each as a job of its own, and says which was best."""

from __future__ import annotations

import sys
from pathlib import Path

from xrun.runner import Runner, get_runner
from xrun.specs import AppDef, Role

TRAIN = Path(__file__).with_name("train.py")


def training(lr: float) -> AppDef:
    """One training."""
    return AppDef("sweep", [Role("train", entrypoint=sys.executable, args=[str(TRAIN), "--lr", str(lr)])])


def loss_of(runner: Runner, handle: str) -> float:
    """The loss that a job printed last."""
    end = runner.wait(handle)
    assert end, f"{handle} was deleted meanwhile"
    end.raise_for_status()
    *_, last = runner.log_lines(handle, "train", regex="^loss ")
    return float(last.split()[1])


def main() -> None:
    """Submits all of them, then waits for each."""
    with get_runner() as runner:
        handles = {lr: runner.run(training(lr), "local") for lr in (0.001, 0.01, 0.1, 0.3)}
        losses = {lr: loss_of(runner, handle) for lr, handle in handles.items()}
        for lr, loss in losses.items():
            print(f"lr {lr:<6} loss {loss:.6f}  {handles[lr]}")
        print(f"best: {min(losses, key=losses.__getitem__)}")
        for handle in handles.values():
            runner.delete(handle)


if __name__ == "__main__":
    main()
