"""A small training: fits a line to noisy points by gradient descent and prints the error on points it didn't see."""

from __future__ import annotations

import argparse
import random


def main() -> None:
    """Trains with the learning rate of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True, help="learning rate")
    parser.add_argument("--steps", type=int, default=200, help="steps of gradient descent")
    given = parser.parse_args()

    noise = random.Random(0)  # noqa: S311 - points to fit are no secret
    points = [(x / 50, 3 * x / 50 + 1 + noise.gauss(0, 0.1)) for x in range(100)]
    seen, unseen = points[::2], points[1::2]
    slope = offset = 0.0
    for _ in range(given.steps):
        errors = [(slope * x + offset - y, x) for x, y in seen]
        slope -= given.lr * 2 * sum(error * x for error, x in errors) / len(seen)
        offset -= given.lr * 2 * sum(error for error, _ in errors) / len(seen)
    loss = sum((slope * x + offset - y) ** 2 for x, y in unseen) / len(unseen)
    print(f"y = {slope:.3f} x + {offset:.3f}")
    print(f"loss {loss:.6f}")


if __name__ == "__main__":
    main()
