"""Configuration files and JSON jobs of any content: a line and an exit code, never a traceback.

The command line's own entry is called in this process, as starting it 10,000 times would take too long.
XRUN_FUZZ_INPUTS sets how many inputs of each kind are tried (default 10,000).
"""

from __future__ import annotations

import io
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xrun.cli.main import _run

INPUTS = int(os.environ.get("XRUN_FUZZ_INPUTS", "10000"))

TOML = """\
# comment
[run]
component = "utils.echo"
scheduler = {env = "NONE", default = "local"}
workspace = ""
[schedulers.local]
grace_period = 3.5
gpus = 1
[components."utils.echo"]
msg = "text"
num_replicas = 1
[named_resources.box]
cpu = 1
devices = {a = 1}
[profiles.a.schedulers.memory]
image = '''
x
'''
"""
JOB = {
    "version": 1,
    "component": "utils.echo",
    "args": {"msg": "a", "num_replicas": 1},
    "scheduler": "memory",
    "cfg": {"grace_period": 1.5, "image": "x"},
    "workspace": "",
    "request_id": "r",
}
APP_JOB = {"app": {"name": "a", "roles": [{"name": "r", "entrypoint": "true", "env": {"A": "b"}, "mounts": []}]}}
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1e308,
    2**70,
    "",
    "x" * 300,
    "\ud800",
    "\0",
    "a\nb",
    "ü",
    "${app_id}",
    "$$",
    [],
    [[]],
]
ODD += [
    [None],
    {},
    {"env": "NONE"},
    {"env": ""},
    {"env": 3},
    {"env": "PATH", "default": []},
    {"": ""},
    "../..",
    "%s",
    "-1",
]
SNIPPETS = [
    *"[]{}='\"#\n\t,.\0\x7fü\\",
    '"""',
    "\r\n",
    "\\ud800",
    "nan",
    "inf",
    "-0",
    "0x1F",
    "1979-05-27T07:32:00Z",
    "true",
]
SNIPPETS += [
    "{env = 'NONE'}",
    "[[run]]",
    "[profiles.default]",
    "[tool.xrun]",
    "gpus = 'x'",
    "[schedulers]",
    "'a b' = 1",
]
SNIPPETS += ["a.b.c = 1", "999999999999999999999999"]


def mangled(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at, end = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        end = min(end, at + rng.choice((0, 0, 1, 4, 40)))
        new = rng.choice((*SNIPPETS, text[at:end] * 2, "".join(rng.choices(text, k=3)) if text else ""))
        text = text[:at] + new + text[end:]
    return text


def altered(value: Any, rng: random.Random) -> Any:
    """The same data with one thing in it exchanged, dropped or added."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = dict(value)
        match rng.randrange(5):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(("rolls", "", "env", "name", "args", key + "x"))] = rng.choice(ODD)
            case _:
                changed[key] = altered(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        return [altered(v, rng) for v in value]
    return rng.choice(ODD)


def random_toml(rng: random.Random) -> bytes:
    if rng.random() < 0.02:
        return rng.randbytes(200)
    return mangled(TOML, rng).encode("utf-8", "surrogatepass")


def random_job(rng: random.Random) -> bytes:
    data: Any = rng.choice((JOB, APP_JOB))
    for _ in range(rng.choice((1, 2, 3))):
        data = altered(data, rng)
    text = json.dumps(data)
    return (mangled(text, rng) if rng.random() < 0.3 else text).encode("utf-8", "surrogatepass")


class _Stdin(io.TextIOWrapper):
    """Bytes where a program expects its stdin."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("kind", "make"), [("toml", random_toml), ("job", random_job)])
def test_never_a_traceback(
    kind: str,
    make: Callable[[random.Random], bytes],
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    rng, codes = random.Random(seed), set()
    for _ in range(INPUTS // 4):
        data = make(rng)
        if kind == "toml":
            (tmp_path / "xrun.toml").write_bytes(data)
            words = rng.choice(
                (["run", "--dryrun"], ["render", "--profile", "a"], ["render", "utils.sh", "-h", "box", "x"])
            )
        else:
            monkeypatch.setattr(sys, "stdin", _Stdin(data))
            words = rng.choice((["run", "--stdin", "--dryrun"], ["render", "--stdin"]))
        code = _run(words)
        said = capfd.readouterr().err
        assert code in (0, 2, 3, 4), (data, said)
        assert "Traceback" not in said, data
        assert code == 0 or len(said.splitlines()) == 1, (data, said)
        codes.add(code)
    assert {0, 2} <= codes
