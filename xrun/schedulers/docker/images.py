"""Images on an engine: there, pulled, built with a workspace, pushed. An `ImageStore` of `xrun.workspaces`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers.docker.client import Engine, Refused
from xrun.schedulers.docker.transfers import Transfers
from xrun.specs.workspace import Workspace
from xrun.workspaces import BASE, DOCKERFILE, Layer, StoredImage, build

REPOSITORY = "xrun-workspace"
"""The name of all images that hold a workspace; the tag says which."""

WORKDIR = "/workspace"
"""Where a workspace goes in an image that has no working directory."""

PULL = ("missing", "always", "never")
"""When an image is pulled from its registry."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # the builder paints what programs write to stderr
# how lines begin that the builder says about itself
_BUILDERS_OWN = ("Step ", " ---> ", "Removing intermediate container ")

_HELPER = "xrun-build"  # begins the name of the container that a layer is made in
_SLOW = 3600  # seconds for an answer of the engine about a layer of many gigabytes
_FORGOTTEN = 86_400  # age in seconds of another machine's helper container that nobody will come back to
_ABSENT, _FAILED, _VOLUME = "XR125", "XR137", "XR138"

_helping: set[str] = set()  # the helpers of builds that go on in this process

Progress = Callable[[str], None]


class Images:
    """The images of an engine, for one submission: what it made ready once it doesn't look at again.

    Args:
        engine: the engine.
        pull: one of `PULL`.
        progress: takes lines about what goes on, and what may surprise.
        cache: a folder for what was hashed before; empty for none.
    """

    def __init__(
        self, engine: Engine, *, pull: str = "missing", progress: Progress = lambda _: None, cache: str = ""
    ) -> None:
        self._engine = engine
        self._pull = pull
        self._progress = progress
        self._cache = cache
        self._transfers = Transfers(engine, progress)
        self._ready: dict[tuple[object, ...], str] = {}

    def prepare(self, image: str, workspace: Workspace | None = None, repo: str = "") -> str:
        """Has an image on the engine, with a workspace in it if there is one.

        Args:
            image: the role's; may be empty if the workspace has a `DOCKERFILE`.
            workspace: the role's.
            repo: where an image with a workspace is pushed to; empty for nowhere.

        Returns:
            What a container is made of: the image's name as given, the id of one with a workspace, and
            ``repo@sha256:...`` of one that was pushed.

        Raises:
            InvalidJob: the workspace is not there, can't be read or changes meanwhile.
            BackendError: no such image, or a registry or the engine refused.
            BackendUnavailable: the engine or a registry can't be reached.
        """
        wanted = (image, tuple(workspace.projects.items()) if workspace else (), repo)
        if wanted not in self._ready:
            self._ready[wanted] = self._prepare(image, workspace, repo)
        return self._ready[wanted]

    def push(self, image: str, repo: str) -> str:
        """Pushes an image.

        Args:
            image: its name or id.
            repo: a repository, as ``registry:5000/team/jobs``; the tag is ours.

        Returns:
            ``repo@sha256:...``.

        Raises:
            BackendError: the registry or the engine refused.
            BackendUnavailable: one of them can't be reached.
        """
        return self._transfers.push(str(self._need(image)["Id"]), repo)

    # --- an ImageStore ----------------------------------------------------------------------------------------------

    def base(self, image: str) -> str:
        """The id of an image, pulled as the policy says."""
        return str(self._here(image)["Id"])

    def find(self, key: str) -> str:
        """The image with the key as its tag."""
        there = self.inspect(f"{REPOSITORY}:{key}")
        return str(there["Id"]) if there else ""

    def made_on(self, base: str) -> Sequence[StoredImage]:
        """Images of ours with this label, the latest first."""
        with self._engine.doing("list images") as api:
            found = api.images(name=REPOSITORY, filters={"label": [f"{BASE}={base}"]})
        found.sort(key=lambda image: (image["Created"], image["Id"]), reverse=True)
        return [StoredImage(image["Id"], image["Labels"] or {}) for image in found]

    def add_layer(self, image: str, layer: Layer, labels: Mapping[str, str], key: str) -> str:
        """Unpacks it in a container that never runs, and commits that."""
        config = dict(self._need(image)["Config"])
        folder = config.get("WorkingDir") or "/"
        folder = WORKDIR if folder == "/" else folder
        _refuse_volumes(image, folder, config.get("Volumes") or {})
        config["WorkingDir"] = folder
        config["Labels"] = {**(config.get("Labels") or {}), **labels}
        self._sweep()
        with self._patient() as slow, self._helper(slow, image, folder, config) as name:
            # unpacked from the root: an engine refuses links that lead out of where it unpacks
            sent = _Counted(layer(folder.strip("/")), self._progress)
            with slow.doing("put the workspace into an image") as api:
                api.put_archive(name, "/", sent)
            with slow.doing("make an image of the workspace") as api:
                made = api.commit(name, repository=REPOSITORY, tag=key, message="xrun workspace", conf=config)
        return str(made["Id"])

    def build(self, context: Iterator[bytes], args: Mapping[str, str], labels: Mapping[str, str], key: str) -> str:
        """By the engine's classic builder; its output is progress."""
        name, last, reason = f"{REPOSITORY}:{key}", "", ""
        self._progress(f"building {DOCKERFILE}")
        with self._patient() as slow, slow.doing(f"build {DOCKERFILE}") as api:
            events = api.build(
                fileobj=_Counted(context, self._progress),
                custom_context=True,
                dockerfile=DOCKERFILE,
                tag=name,
                buildargs=dict(args),
                labels=dict(labels),
                pull=self._pull == "always",
                rm=True,
                forcerm=True,
                decode=True,
            )
            for event in events:  # to their end, so that the connection is free again
                reason = reason or " ".join(str(event.get("error", "")).split())
                for line in filter(str.strip, _COLOUR.sub("", str(event.get("stream", ""))).splitlines()):
                    last = last if line.startswith(_BUILDERS_OWN) else line.strip()
                    self._progress(line)
        if reason:
            said = f"; the last it said: {last}" if last else ""
            raise BackendError(f"{DOCKERFILE} can't be built: {reason}{said}", code=_FAILED)
        made = self.find(key)
        if not made:
            raise BackendUnavailable(f"the engine went away while it built {DOCKERFILE}; run again")
        return made

    # --- details ----------------------------------------------------------------------------------------------------

    def inspect(self, image: str) -> dict[str, Any] | None:
        """What the engine knows about an image; None if it isn't there."""
        try:
            with self._engine.doing(f"look at image {image}") as api:
                found: dict[str, Any] = api.inspect_image(image)
                return found
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def _prepare(self, image: str, workspace: Workspace | None, repo: str) -> str:
        if not workspace:
            self._here(image)
            return image
        again = self._pull == "always"
        made = build(workspace, image, self, cache=self._cache, notice=self._progress, again=again)
        return self.push(made, repo) if repo else made

    def _here(self, image: str) -> dict[str, Any]:
        """The image, pulled if the policy says so; an id is on the engine or nowhere."""
        if not image.isprintable() or " " in image:
            raise BackendError(f"{image!r} can't be the name of an image", code=_ABSENT)
        there = self.inspect(image)
        is_id = image.startswith("sha256:")
        if there is not None and (self._pull != "always" or is_id):
            return there
        if self._pull == "never" or is_id:
            fix = "pull or build it, or check the id" if is_id else "pull or build it, or allow it with pull=missing"
            raise BackendError(f"there is no image {image} on the engine; {fix}", code=_ABSENT)
        self._transfers.pull(image)
        return self._need(image)

    def _need(self, image: str) -> dict[str, Any]:
        there = self.inspect(image)
        if there is None:
            raise BackendError(f"there is no image {image} on the engine any more; run again", code=_ABSENT)
        return there

    @contextmanager
    def _patient(self) -> Iterator[Engine]:
        """A connection of its own to the same engine, whose answers may take long."""
        engine = Engine(self._engine.host)
        try:
            engine.api.timeout = _SLOW
            yield engine
        finally:
            engine.close()

    @contextmanager
    def _helper(self, engine: Engine, image: str, folder: str, config: Mapping[str, Any]) -> Iterator[str]:
        """A container of an image, by name; removed whatever happens, with the volumes that the image asks for."""
        name = f"{_HELPER}-{_machine()}-{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}"
        command = None if config.get("Cmd") or config.get("Entrypoint") else ["sh"]  # an engine insists on one
        _helping.add(name)
        try:
            with engine.doing(f"create a container of {image}") as api:
                limits = api.create_host_config(network_mode="none")
                api.create_container(image, command, name=name, working_dir=folder, host_config=limits)
            yield name
        finally:
            _helping.discard(name)
            with contextlib.suppress(Refused, BackendUnavailable):  # the next build removes what is left
                self._remove(name)

    def _remove(self, name: str) -> None:
        with self._engine.doing(f"remove container {name}") as api:
            api.remove_container(name, v=True, force=True)

    def _sweep(self) -> None:
        """Removes containers of builds that were killed, or lost the engine."""
        with self._engine.doing("list containers") as api:
            found = api.containers(all=True, filters={"name": f"^/?{_HELPER}-"})
        for container in found:
            name = container["Names"][0].lstrip("/")
            machine, pid, started = [*name.removeprefix(f"{_HELPER}-").split("-"), "", ""][:3]
            if machine != _machine():
                forgotten = time.time() - container["Created"] > _FORGOTTEN
            elif pid == str(os.getpid()):
                forgotten = name not in _helping
            else:
                forgotten = _started(pid) != started
            if forgotten:
                with contextlib.suppress(Refused):
                    self._remove(name)


class _Counted:
    """Bytes on their way to the engine; a line tells about every few seconds of a long way."""

    def __init__(self, pieces: Iterator[bytes], progress: Progress) -> None:
        self._pieces, self._progress = pieces, progress

    def __iter__(self) -> Iterator[bytes]:
        sent, told = 0, time.monotonic()
        for piece in self._pieces:
            yield piece
            sent += len(piece)
            if time.monotonic() - told > 2:
                told = time.monotonic()
                self._progress(f"sending the workspace: {sent / 1e6:.0f} MB so far")


def _refuse_volumes(image: str, folder: str, volumes: Mapping[str, Any]) -> None:
    for volume in volumes:
        if f"{folder}/".startswith(f"{volume.rstrip('/')}/"):
            message = f"image {image} declares {volume} as a volume, so that files put into {folder} would be lost"
            raise BackendError(f"{message}; use an image with another working directory", code=_VOLUME)


def _machine() -> str:
    """Which processes a pid can be looked for among."""
    texts = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            texts.append(os.readlink(path) if "ns" in path else _read(path))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]


def _started(pid: int | str) -> str:
    """When a process began, in the kernel's count; empty if there is none."""
    with contextlib.suppress(OSError, IndexError):
        return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    return ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
