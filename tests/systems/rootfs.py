"""File systems of images, made from what is on this machine: nothing can be pulled where the tests run."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

_NO_PRINTENV = """#!/bin/sh
# Debian's busybox leaves this program out
[ $# = 0 ] && exec env
eval "[ \\"\\${$1+x}\\" ]" && eval "printf '%s\\\\n' \\"\\$$1\\""
"""
_LEFT_OUT = re.compile(r"/(site-packages|test|__pycache__|config-[^/]*|idlelib|ensurepip|tkinter|turtledemo|lib2to3)$")


def busybox() -> bytes:
    """All of busybox, /tmp and a user, as a tar archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        _add_busybox(tar)
    return made.getvalue()


def python() -> bytes:
    """As `busybox`, and the interpreter that runs the tests with its standard library, as ``python3``."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        _add_busybox(tar)
        _add_file(tar, "bin/printenv", _NO_PRINTENV, 0o755)
        program = os.path.realpath(sys.executable)
        tar.add(program, "bin/python3", recursive=False)
        standard = os.path.dirname(os.__file__)
        tar.add(standard, standard.lstrip("/"), filter=lambda i: None if _LEFT_OUT.search(f"/{i.name}") else i)
        linked = [program, *map(str, Path(standard, "lib-dynload").glob("*.so"))]
        for library in sorted({library for file in linked for library in _libraries(file)}):
            tar.add(os.path.realpath(library), library.lstrip("/"), recursive=False)
    return made.getvalue()


def _add_busybox(tar: tarfile.TarFile) -> None:
    program = shutil.which("busybox")
    assert program
    tar.add(program, "bin/busybox", recursive=False)
    names = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=20, check=True).stdout
    for name in sorted(set(names.split()) - {"busybox"}):
        link = tarfile.TarInfo(f"bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    folder = tarfile.TarInfo("tmp")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
    tar.addfile(folder)
    _add_file(tar, "etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)


def _add_file(tar: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    info = tarfile.TarInfo(name)
    data = text.encode()
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _libraries(program: str) -> list[str]:
    """The shared libraries that a program is linked with."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=20, check=False).stdout
    return re.findall(r"(/\S+) \(0x", said)
