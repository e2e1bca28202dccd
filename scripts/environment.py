"""Sets up what this checkout needs to run and test xrun; a second run finds everything ready.

Two virtual environments, since torch alone is several GB:

- the dependencies, in the user's cache folder, shared by all checkouts that ask for the same ones. Its name holds a
  hash of the requirements, so that it's never changed once complete. One that nothing has used for 30 days is removed
  when the next one is built.
- `.venv` in the checkout: xrun itself (editable) and a link to the first.

Only the standard library is used: this runs before anything is installed.
"""

from __future__ import annotations

import configparser
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "scripts" / "constraints.txt"
EXTRAS = ("docker", "kubernetes", "torch", "testing", "dev")
UNUSED_DAYS = 30


def main() -> int:
    """Makes both environments, or says in a line what went wrong."""
    try:
        dependencies = make_dependencies(read_requirements())
        make_checkout_venv(dependencies)
    except subprocess.CalledProcessError as error:
        say(f"error: {' '.join(map(str, error.cmd))} exited {error.returncode}:")
        say((error.stdout or "").rstrip() or "(it printed nothing)")
        return 1
    except OSError as error:
        say(f"error: {error}")
        return 1
    return 0


def read_requirements() -> list[str]:
    """What setup.cfg asks for, with the extras that development needs."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    for extra in EXTRAS:
        lines += config["options.extras_require"][extra].splitlines()
    return [line for line in lines if line and not line.startswith("xrun[")]


def make_dependencies(requirements: list[str]) -> Path:
    """The folder of the environment that holds these requirements; made if it isn't there."""
    version = platform.python_version()
    key = "\n".join([*requirements, CONSTRAINTS.read_text(), platform.machine(), sys.base_prefix])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xrun"
    folder = cache / f"env-{version}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    complete = folder / ".complete"
    cache.mkdir(parents=True, exist_ok=True)
    if not complete.exists():
        with locked(cache / f"{folder.name}.lock"):
            if not complete.exists():
                remove_unused(cache, keep=folder)
                build(folder, requirements)
                complete.touch()
    os.utime(complete)
    return folder


def build(folder: Path, requirements: list[str]) -> None:
    """Installs the requirements into a new environment; what a killed run left there is removed first."""
    say(f"installing the dependencies, torch among them, into {folder} (several GB; minutes on a slow line)")
    shutil.rmtree(folder, ignore_errors=True)
    run("making the environment", [sys.executable, "-m", "venv", folder])
    options = ["--progress-bar", "off", "--constraint", str(CONSTRAINTS)]
    packages = site_packages(folder)

    def describe(line: str) -> str:
        if not line.startswith(("Installing", "Attempting", "Found", "Uninstalling", "Successfully")):
            return line
        return f"unpacking, {sum(1 for _ in packages.glob('*.dist-info'))} packages so far"

    run("installing", [folder / "bin" / "python", "-m", "pip", "install", *options, *requirements], describe)


def remove_unused(cache: Path, keep: Path) -> None:
    """Removes environments that no set-up has asked for lately: each is several GB."""
    for complete in cache.glob("env-*/.complete"):
        if complete.parent != keep and complete.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
            say(f"removing {complete.parent}, unused for {UNUSED_DAYS} days")
            complete.unlink()
            shutil.rmtree(complete.parent, ignore_errors=True)
            complete.parent.with_name(f"{complete.parent.name}.lock").unlink(missing_ok=True)


def make_checkout_venv(dependencies: Path) -> None:
    """`.venv`: xrun from this checkout, everything else from the shared environment."""
    venv = ROOT / ".venv"
    stamp = venv / ".complete"
    metadata = [(ROOT / name).read_text() for name in ("setup.cfg", "pyproject.toml", "xrun/__init__.py")]
    wanted = hashlib.sha256("\n".join([str(ROOT), str(dependencies), *metadata]).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with locked(ROOT / ".venv.lock"):
        if stamp.exists() and stamp.read_text() == wanted:
            return
        python = dependencies / "bin" / "python"
        run("making .venv", [python, "-m", "venv", "--without-pip", "--clear", venv])
        (site_packages(venv) / "dependencies.pth").write_text(f"{site_packages(dependencies)}\n")
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--config-settings", "editable_mode=compat"]
        run("installing xrun", [python, "-m", "pip", "--python", venv, "install", *options, "-e", ROOT])
        stamp.write_text(wanted)


def site_packages(venv: Path) -> Path:
    """Where an environment keeps its packages."""
    return venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lets one process in at a time; the others wait and say so."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress("waiting for another set-up", lambda: f"it holds {path}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(title: str, command: list[str | Path], describe: Callable[[str], str] = str) -> None:
    """Runs a command; while it lasts, shows the time and what its latest line says."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    with progress(title, lambda: describe(lines[-1]) if lines else "..."):
        assert process.stdout is not None
        lines.extend(line.strip() for line in process.stdout if line.strip())
        process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, "\n".join(lines[-30:]))


@contextlib.contextmanager
def progress(title: str, latest: Callable[[], str]) -> Iterator[None]:
    """Shows the time and what is going on: on a terminal one line that changes, else a line every few seconds."""
    ended = threading.Event()
    begin = time.monotonic()
    start, end, seconds = ("\r\033[K", "", 1) if sys.stderr.isatty() else ("", "\n", 4)

    def show() -> None:
        while not ended.wait(seconds):
            line = f"{time.monotonic() - begin:4.0f} s  {title}: {latest()}"
            sys.stderr.write(start + line[: shutil.get_terminal_size().columns - 1] + end)
            sys.stderr.flush()

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sys.stderr.write(start)


def say(text: str) -> None:
    """Prints progress and errors, where the scripts' own output goes."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
