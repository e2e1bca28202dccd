"""Uses the API of xrun or of torchx, which are called the same way, or does the same by hand.

    driver.py RESULT PEER ACTION [ARGS...]

PEER is xrun, torchx or floor. What was found is written as JSON to the file RESULT.
"""

from __future__ import annotations

import copy
import importlib
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEDULERS = {"xrun": "local", "torchx": "local_cwd"}
POLL = 0.1  # seconds between torchx's looks at a job; xrun is woken
COMPONENT = """
from {peer}.specs import AppDef, Resource, Role


def hello(msg: str, count: int = 1) -> AppDef:
    \"\"\"Says something.

    Args:
        msg: what to say.
        count: how many say it.
    \"\"\"
    role = Role("hello", "", entrypoint="echo", args=[msg], num_replicas=count, resource=Resource(1, 0, 1024))
    return AppDef("hello", [role])
"""


class Peer:
    """xrun's or torchx's API."""

    def __init__(self, name: str, **params: Any) -> None:
        self.scheduler = SCHEDULERS[name]
        self.specs: Any = importlib.import_module(f"{name}.specs")
        self.runner: Any = importlib.import_module(f"{name}.runner").get_runner(**params)
        self.cfg = {"log_dir": str(Path("torchx-logs").resolve())} if name == "torchx" else {}

    def app(self, entrypoint: str, *args: str) -> Any:
        role = self.specs.Role(
            "main",
            "",
            entrypoint=entrypoint,
            args=list(args),
            env={"GREETING": "hello"},
            num_replicas=1,
            resource=self.specs.Resource(1, 0, 1024),
        )
        return self.specs.AppDef("main", [role])

    def run(self, app: Any) -> str:
        handle: str = self.runner.run(app, self.scheduler, self.cfg)
        return handle

    def wait(self, handle: str, interval: float = POLL) -> None:
        status = self.runner.wait(handle, wait_interval=interval)
        if status is None or status.state.name != "SUCCEEDED":
            raise SystemExit(f"{handle} ended as {status}")


def per_call(call: Callable[[int], object], count: int) -> float:
    """Seconds of one call: the median of five batches, after one that isn't counted."""
    batches = []
    for batch in range(6):
        begin = time.perf_counter()
        for i in range(count):
            call(batch * count + i)
        batches.append((time.perf_counter() - begin) / count)
    return statistics.median(batches[1:])


# --- dry runs --------------------------------------------------------------------------------------------------------


def dryrun(name: str, count: int) -> dict[str, float]:
    """An AppDef to its request and the request's text."""
    if name == "floor":
        return {"seconds": per_call(lambda _: _by_hand(), count)}
    peer = Peer(name)
    apps = [peer.app("echo", "hello from ${app_id}") for _ in range(6 * count)]
    return {"seconds": per_call(lambda i: str(peer.runner.dryrun(apps[i], peer.scheduler, peer.cfg)), count)}


def dryrun_component(name: str, count: int) -> dict[str, float]:
    """As dryrun, by the name of a component."""
    return _dryrun_component(name, "utils.echo", count)


def dryrun_file(name: str, count: int) -> dict[str, float]:
    """As dryrun, by file and function."""
    file = Path(f"{name}_component.py")
    file.write_text(COMPONENT.format(peer=name))
    return _dryrun_component(name, f"{file.resolve()}:hello", count)


def _dryrun_component(name: str, component: str, count: int) -> dict[str, float]:
    peer = Peer(name)

    def call(_: int) -> str:
        return str(peer.runner.dryrun_component(component, ["--msg", "hello"], peer.scheduler, peer.cfg))

    return {"seconds": per_call(call, count)}


@dataclass
class _Role:
    entrypoint: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict)


def _by_hand() -> str:
    """The least that makes a text from a job: a copy, the macros, the words quoted."""
    role = copy.copy(_Role("echo", ["hello from ${app_id}"], {"GREETING": "hello"}))
    words = [role.entrypoint, *(word.replace("${app_id}", "main-x7f2q") for word in role.args)]
    env = [f"export {key}={shlex.quote(value)}" for key, value in role.env.items()]
    return "\n".join([*env, " ".join(shlex.quote(word) for word in words)])


# --- launches --------------------------------------------------------------------------------------------------------


def one_by_one(name: str, count: int) -> dict[str, float]:
    """Jobs of /bin/true, each awaited before the next."""
    if name == "floor":
        begin = time.perf_counter()
        for _ in range(count):
            subprocess.run(["/bin/true"], check=True)
        return {"seconds": (time.perf_counter() - begin) / count}
    peer = Peer(name)
    peer.wait(peer.run(peer.app("/bin/true")))
    begin = time.perf_counter()
    for _ in range(count):
        peer.wait(peer.run(peer.app("/bin/true")))
    return {"seconds": (time.perf_counter() - begin) / count}


def at_once(name: str, count: int, raised: int = 0) -> dict[str, Any]:
    """Jobs of /bin/true, all started before any is awaited.

    Args:
        name: whose.
        count: how many.
        raised: torchx's limit of jobs (100), raised to this.
    """
    if name == "floor":
        begin = time.perf_counter()
        processes = [subprocess.Popen(["/bin/true"]) for _ in range(count)]
        errors = sum(process.wait() != 0 for process in processes)
        return _rated(begin, count, errors, "")
    peer = Peer(name, cache_size=raised) if raised else Peer(name)
    first = ""
    errors = 0
    handles = []
    begin = time.perf_counter()
    for i in range(count):
        try:
            handles.append(peer.run(peer.app("/bin/true")))
        except Exception as error:  # noqa: BLE001 - what torchx raises when it is full is part of the answer
            errors += 1
            first = first or f"job {i + 1}: {type(error).__name__}: {error}"
    for handle in handles:
        try:
            peer.wait(handle)
        except SystemExit as error:
            errors += 1
            first = first or str(error)
    return _rated(begin, count, errors, first)


def _rated(begin: float, count: int, errors: int, first: str) -> dict[str, Any]:
    return {"rate": (count - errors) / (time.perf_counter() - begin), "errors": errors, "error": first}


def end_noticed(name: str, *lengths: str) -> dict[str, Any]:
    """How long after a job's last act its waiter knows: the job ends by writing the time."""
    stamp = Path(f"{name}-end").resolve()
    delays = []
    peer = None if name == "floor" else Peer(name)
    for length in lengths:
        text = f"sleep {length}; exec date +%s%N > {shlex.quote(str(stamp))}"
        if peer is None:
            subprocess.run(["sh", "-c", text], check=True)
        else:
            peer.wait(peer.run(peer.app("sh", "-c", text)), 1)
        delays.append((time.time_ns() - int(stamp.read_text())) / 1e9)
    return {"delays": delays}


# --- logs ------------------------------------------------------------------------------------------------------------


def log_lines(name: str, path: str) -> dict[str, float]:
    """The lines of a job that printed a file, through the API."""
    if name == "floor":
        begin = time.perf_counter()
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = sum(1 for _ in file)
        return {"seconds": time.perf_counter() - begin, "lines": lines}
    peer = Peer(name)
    handle = peer.run(peer.app("cat", path))
    peer.wait(handle)
    begin = time.perf_counter()
    lines = sum(1 for _ in peer.runner.log_lines(handle, "main", 0))
    return {"seconds": time.perf_counter() - begin, "lines": lines}


def log_command(name: str, path: str) -> dict[str, float]:
    """What ``torchx log`` does; it knows only jobs of its own process, so the job is run here first."""
    peer = Peer(name)
    handle = peer.run(peer.app("cat", path))
    peer.wait(handle)
    get_logs = importlib.import_module(f"{name}.cli.cmd_log").get_logs
    begin = time.perf_counter()
    get_logs(sys.stdout, handle, None, runner=peer.runner)
    sys.stdout.flush()
    seconds = time.perf_counter() - begin
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"seconds": seconds, "mib": peak / 1024}


def main(result: str, peer: str, action: str, *args: str) -> None:
    """Does one thing."""
    if action == "at_once":
        found: dict[str, Any] = at_once(peer, *map(int, args))
    elif action == "end_noticed":
        found = end_noticed(peer, *args)
    elif action in ("log_lines", "log_command"):
        found = {"log_lines": log_lines, "log_command": log_command}[action](peer, args[0])
    else:
        counted = {f.__name__: f for f in (dryrun, dryrun_component, dryrun_file, one_by_one)}
        found = counted[action](peer, int(args[0]))
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
