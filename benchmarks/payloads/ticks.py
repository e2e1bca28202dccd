"""Prints the time, in nanoseconds, every 20 ms: ``ticks.py COUNT``."""

from __future__ import annotations

import sys
import time


def main(count: int) -> None:
    for _ in range(count):
        print(time.time_ns(), flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]))
