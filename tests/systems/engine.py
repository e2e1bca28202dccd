"""A docker engine and a registry of their own, an image to run, and a line to the engine that can be cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.systems import rootfs

SCRIPT = Path(__file__).with_name("docker")
IMAGE = "xrun-busybox:1"
"""An image with all of busybox, and nothing else."""

PYTHON_IMAGE = "xrun-python:1"
"""An image with busybox and Python; made by `with_python`."""


class DockerSystem(NamedTuple):
    """An engine and a registry.

    Attributes:
        host: the engine's address, for DOCKER_HOST.
        socket: the file of the engine's socket.
        registry: ``127.0.0.1:PORT``.
        image: an image that is there.
    """

    host: str
    socket: str
    registry: str
    image: str


def lacking() -> str:
    """What this machine lacks to start them; empty if nothing."""
    programs = ("dockerd", "docker", "docker-registry", "busybox", "ip")
    missing = [name for name in programs if not shutil.which(name)] + ["root's rights"] * (os.geteuid() != 0)
    return f"a docker engine needs {', '.join(missing)}" if missing else ""


@contextmanager
def started() -> Iterator[DockerSystem]:
    """Both, until the block is left."""
    port = _free_port()
    folder = tempfile.mkdtemp(prefix="xrun-docker-", dir="/tmp")  # a socket's name must be short
    env = {**os.environ, "XRUN_REGISTRY_PORT": str(port)}
    try:
        _up(folder, env)
        system = DockerSystem(f"unix://{folder}/docker.sock", f"{folder}/docker.sock", f"127.0.0.1:{port}", IMAGE)
        docker(system, "import", "-", IMAGE, stdin=rootfs.busybox())
        yield system
        left = docker(system, "ps", "--all", "--quiet").decode().split()
        if left:
            docker(system, "rm", "--force", "--volumes", *left)
    finally:
        subprocess.run([SCRIPT, "down", folder], env=env, capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def _up(folder: str, env: dict[str, str], verb: str = "up") -> None:
    with open("/tmp/xrun-docker.lock", "w") as lock:
        # engines that start at once trip over each other's firewall chains
        fcntl.flock(lock, fcntl.LOCK_EX)
        for last in (False, True):
            up = subprocess.run([SCRIPT, verb, folder], env=env, capture_output=True, text=True, timeout=120)
            if up.returncode == 0:
                return
            assert not last, up.stderr + Path(folder, "docker.log").read_text()[-2000:]
            down = verb.replace("up", "down")
            subprocess.run([SCRIPT, down, folder], env=env, capture_output=True, timeout=120)


def with_python(system: DockerSystem) -> str:
    """The image that has Python, made when it is first asked for."""
    if not docker(system, "images", "--quiet", PYTHON_IMAGE):
        docker(system, "import", "-", PYTHON_IMAGE, stdin=rootfs.python())
    return PYTHON_IMAGE


def docker(system: DockerSystem, *words: str, stdin: bytes = b"") -> bytes:
    """What docker's own command line says."""
    env = {**os.environ, "DOCKER_HOST": system.host, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", *words], env=env, input=stdin, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def restart(system: DockerSystem, *, live: bool = True, between: Callable[[], object] = lambda: None) -> None:
    """Ends the engine and starts it again.

    Args:
        system: which.
        live: whether its containers go on meanwhile (live-restore).
        between: called when it is away.
    """
    folder = str(Path(system.socket).parent)
    env = {**os.environ, "XRUN_LIVE_RESTORE": "true" if live else "false"}
    # it decides about containers at its end by how it was started
    for then in [between] if live else [lambda: None, between]:
        down = subprocess.run([SCRIPT, "engine-down", folder], env=env, capture_output=True, text=True, timeout=120)
        assert down.returncode == 0, down.stderr
        then()
        _up(folder, env, "engine-up")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class CutLine:
    """A socket that leads to an engine until the line is cut.

    Args:
        to: the engine's socket.
    """

    def __init__(self, to: str) -> None:
        self._to = to
        self._folder = tempfile.mkdtemp(prefix="xrun-line-", dir="/tmp")
        self.host = f"unix://{self._folder}/s"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(f"{self._folder}/s")
        self._server.listen()
        self._words, self._answered = b"", False
        self.cuts = 0
        self.requests: list[str] = []
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, words: str, *, answered: bool) -> None:
        """Cuts the line once, when a request with these words passes.

        Args:
            words: a part of the request's first bytes, or of what it sends.
            answered: let the engine do it, and cut when its answer comes; else it never hears of it.
        """
        self._words, self._answered = words.encode(), answered

    def drop(self) -> int:
        """Cuts every connection there is; gives their number."""
        there = list(self._open)
        for client in there:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        return len(there)

    def close(self) -> None:
        """Nobody gets through any more."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with ExitStack() as stack, suppress(OSError):
            stack.callback(client.close)
            self._open.add(client)
            stack.callback(self._open.discard, client)
            engine = stack.enter_context(socket.socket(socket.AF_UNIX))
            engine.connect(self._to)
            cut = threading.Event()
            answers = threading.Thread(target=self._answers, args=(engine, client, cut), daemon=True)
            answers.start()
            while data := client.recv(65536):
                if data.startswith((b"GET ", b"POST ", b"DELETE ", b"HEAD ", b"PUT ")):
                    self.requests.append(data.partition(b" HTTP/")[0].decode())
                if self._words and self._words in data:
                    self._words = b""
                    self.cuts += 1
                    cut.set()
                    if not self._answered:
                        break
                engine.sendall(data)
            with suppress(OSError):
                engine.shutdown(socket.SHUT_WR)
            if not cut.is_set() or self._answered:
                answers.join(60)

    def _answers(self, engine: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := engine.recv(65536):
                if cut.is_set():
                    break
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
