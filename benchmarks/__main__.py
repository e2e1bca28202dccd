"""``python -m benchmarks``: measures, shows a table."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.measure import Failed
from benchmarks.report import Report, Row
from scripts.environment import say


def main() -> int:
    """Runs the cases asked for; 1 if one could not be measured, whatever the figures are."""
    options = _options()
    repeat = options.repeat or (3 if options.quick else 11)
    seconds = options.idle_seconds or (6.0 if options.quick else 60.0)
    report = Report(_about(options.quick, repeat))
    failed = False
    with _work_folder() as work:
        bench = Bench(work, repeat, options.quick, seconds, options.torch_python)
        try:
            for number, name in enumerate(options.only, 1):
                bench.case = f"[{number}/{len(options.only)}] {name}"
                begin = time.monotonic()
                say(bench.case)
                failed |= not _run_case(name, bench, report)
                bench.tell("")
                say(f"{bench.case} took {time.monotonic() - begin:.0f} s")
        finally:
            bench.tell("")
            bench.stop_jobs()
    if options.json:
        options.json.write_text(report.to_json() + "\n")
    print(report.table())
    return int(failed)


def _run_case(name: str, bench: Bench, report: Report) -> bool:
    try:
        for row in CASES[name](bench):
            report.rows.append(row)
            bench.tell("")
            say(f"    {' | '.join(row.cells())}")
        return True
    except subprocess.CalledProcessError as error:
        reason = f"{error}: {error.stdout or ''}"
    except (Failed, OSError) as error:
        reason = str(error)
    report.rows.append(Row(name, "", note=f"failed: {reason}"))
    say(f"    failed: {reason}")
    return False


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, even if an ending job still writes into it."""
    work = Path(tempfile.mkdtemp(prefix="xrun-bench-"))
    try:
        yield work.resolve()
    finally:
        for _ in range(5):
            shutil.rmtree(work, ignore_errors=True)
            if not work.exists():
                break
            time.sleep(0.5)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="What xrun costs; see benchmarks/README.md.")
    parser.add_argument("--only", type=_names, default=list(CASES), metavar="NAME,...", help=f"of {', '.join(CASES)}")
    parser.add_argument("--repeat", type=_positive, metavar="N", help="rounds (default 11; long measurements a third)")
    parser.add_argument("--quick", action="store_true", help="3 rounds and smaller jobs: for a look, not for quoting")
    parser.add_argument("--idle-seconds", type=float, metavar="S", help="how long idle launchers are watched (60)")
    parser.add_argument("--torch-python", type=Path, metavar="FILE", help="an interpreter that has torch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and sample here too")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {', '.join(CASES)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _about(quick: bool, repeat: int) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "system": platform.release(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "rounds": repeat,
        "quick": quick,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
