"""Virtual environments for xrun, torchx and torch, in the user's cache folder; made once and kept.

xrun is installed as users have it, from a wheel of this checkout, anew whenever its sources have changed.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.environment import CONSTRAINTS, ROOT, locked, run

TORCHX = "torchx==0.7.0"
_SOURCES = ("xrun", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


def xrun_python(extra: str = "") -> Path:
    """The interpreter of an environment with this checkout's xrun and what it requires, and nothing else.

    Args:
        extra: one of xrun's extras, if that is to be there too.
    """
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    requirements = config["options"]["install_requires"].split()
    name = "xrun"
    if extra:
        name = f"xrun-{extra}"
        requirements += config["options.extras_require"][extra].split()
    python = _environment(name, requirements, constrained=True)
    stamp = python.parent.parent / ".xrun"
    wanted = _hash(_read_all(_SOURCES))
    with locked(_cache() / f"bench-{name}.lock"):
        if not (stamp.exists() and stamp.read_text() == wanted):
            _install_xrun(python)
            stamp.write_text(wanted)
    return python


def torchx_python() -> Path:
    """The interpreter of an environment with torchx 0.7.0."""
    return _environment("torchx", [TORCHX])


def torch_python(given: Path | None) -> Path:
    """An interpreter that has torch: the one given, else this checkout's, else ours, else a new environment's.

    Raises:
        OSError: the one given has no torch.
    """
    if given is not None:
        if not _has_torch(given):
            raise OSError(f"{given} can't import torch.distributed; give another --torch-python")
        return given.absolute()
    for python in (ROOT / ".venv" / "bin" / "python", Path(sys.executable)):
        if python.exists() and _has_torch(python):
            return python
    return _environment("torch", ["torch", "numpy"], constrained=True)


def _environment(name: str, requirements: Iterable[str], *, constrained: bool = False) -> Path:
    """The interpreter of an environment that holds some packages; made if it isn't there or is out of date."""
    folder = _cache() / f"bench-{name}-{platform.python_version()}"
    python = folder / "bin" / "python"
    stamp = folder / ".complete"
    options = ["--constraint", str(CONSTRAINTS)] if constrained else []
    wanted = _hash([*requirements, *([CONSTRAINTS.read_text()] if constrained else []), sys.base_prefix])
    with locked(_cache() / f"bench-{name}.lock"):
        if not (stamp.exists() and stamp.read_text() == wanted):
            shutil.rmtree(folder, ignore_errors=True)
            run(f"making the environment of {name}", [sys.executable, "-m", "venv", folder])
            _pip(f"installing {name}", python, [*options, *requirements])
            stamp.write_text(wanted)
    return python


def _install_xrun(python: Path) -> None:
    """Builds and installs a wheel, from a copy: a build writes into the folder that it builds from."""
    with tempfile.TemporaryDirectory(prefix="xrun-bench-") as folder:
        for name in _SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, folder)
        _pip("installing xrun", python, ["--no-deps", "--force-reinstall", folder])


def _pip(title: str, python: Path, words: list[str]) -> None:
    options = ["-I", "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    run(title, [python, *options, *words])


def _has_torch(python: Path) -> bool:
    command = [str(python), "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch.distributed'))"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _read_all(names: Iterable[str]) -> list[str]:
    texts = []
    for name in names:
        path = ROOT / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path] if path.exists() else []
        texts += [f"{file.relative_to(ROOT)}\n{file.read_text()}" for file in files]
    return texts


def _hash(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xrun"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
