"""Images, made from what is on this machine and put into containerd: nothing can be pulled where the tests run."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from typing import Any

from tests.systems import rootfs
from tests.systems.kube.place import Place
from tests.systems.kube.programs import find

PAUSE = "docker.io/library/xrun-pause:1"
"""What holds a pod's network."""

BUSYBOX = "docker.io/library/xrun-busybox:1"
"""All of busybox: sh and tar among it."""

HOST = "docker.io/library/xrun-host:1"
"""Nothing but links into /usr: with the machine's folders mounted, the machine's programs run in it."""

PYTHON = "docker.io/library/xrun-python:1"
"""busybox and Python."""

_WAIT = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait; done"


def with_python(place: Place) -> str:
    """`PYTHON`, made when it is first asked for."""
    if PYTHON not in ctr(place, "images", "ls", "--quiet").split():
        add(place, PYTHON, rootfs.python())
    return PYTHON


def add(place: Place, name: str, layer: bytes, **config: Any) -> None:
    """Puts an image of one layer into containerd.

    Args:
        place: the cluster.
        name: with its registry, as containerd has it.
        layer: a tar archive.
        config: the image's own, as ``Entrypoint``.
    """
    made = io.BytesIO()
    settings = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **config}
    about = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(fileobj=made, mode="w") as tar:
        for file, data in [
            ("config.json", json.dumps(about).encode()),
            ("layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ]:
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    ctr(place, "images", "import", "-", stdin=made.getvalue())


def add_all(place: Place) -> None:
    """The small ones."""
    busybox = rootfs.busybox()
    add(place, PAUSE, busybox, Entrypoint=["/bin/sh", "-c", _WAIT])
    add(place, BUSYBOX, busybox)
    add(place, HOST, _host())


def ctr(place: Place, *words: str, stdin: bytes = b"") -> str:
    """What containerd's own command line says.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    command = [find("ctr"), "--address", str(place / "containerd.sock"), "--namespace", "k8s.io", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ctr {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def _host() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "lib", "lib64", "sbin"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name, mode in (("usr", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/group", "root:x:0:\n")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()
