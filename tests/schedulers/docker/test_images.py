"""Images on a real engine: with workspaces, from Dockerfiles, from and to a real registry; and what breaks."""

from __future__ import annotations

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systems.engine import CutLine, DockerSystem, docker
from xrun.errors import BackendError, BackendUnavailable, InvalidJob
from xrun.schedulers.docker.client import Engine
from xrun.schedulers.docker.images import REPOSITORY, Images
from xrun.specs.workspace import Workspace

pytestmark = pytest.mark.xdist_group("docker")

Output = Callable[..., bytes]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A workspace that no other test has."""
    top = tmp_path / "top"
    (top / "pkg").mkdir(parents=True)
    (top / "train.py").write_text(f"# of {tmp_path}\n")
    (top / "pkg/model.py").write_text("x = 1\n" * 1000)
    return top


@pytest.fixture
def make(engine: Engine, docker_system: DockerSystem, top: Path, tmp_path: Path) -> Callable[..., str]:
    """Has an image with the workspace."""

    def make(image: str = docker_system.image, **options: Any) -> str:
        images = Images(engine, cache=str(tmp_path / "cache"), **options)
        return images.prepare(image, Workspace({str(top): ""}))

    return make


def images_of(engine: Engine) -> int:
    return len(engine.api.images(name=REPOSITORY))


def helpers_of(engine: Engine) -> list[str]:
    return [c["Names"][0] for c in engine.api.containers(all=True) if "xrun-build" in c["Names"][0]]


def base_image(system: DockerSystem, name: str, dockerfile: str) -> str:
    docker(system, "build", "--quiet", "--tag", name, "-", stdin=f"FROM {system.image}\n{dockerfile}".encode())
    return name


# --- layers ---------------------------------------------------------------------------------------------------------


def test_files_land_in_the_working_directory(make: Callable[..., str], top: Path, output_of: Output) -> None:
    (top / "run.sh").write_text("#!/bin/sh\necho ran by $(id -u) in $(pwd)\n")
    (top / "run.sh").chmod(0o700)
    (top / "link").symlink_to("pkg/model.py")
    (top / "empty").mkdir()
    (top / ".gitignore").write_text("*.log\n")
    (top / "x.log").write_text("")

    made = make()

    assert output_of(made, "./run.sh", user="nobody") == b"ran by 65534 in /workspace\n"
    listed = output_of(made, "sh", "-c", "find . | sort; readlink link; wc -l <link").decode().split()
    names = [".", "./.gitignore", "./empty", "./link", "./pkg", "./pkg/model.py", "./run.sh", "./train.py"]
    assert listed == [*names, "pkg/model.py", "1000"]


def test_an_image_keeps_what_it_says(
    make: Callable[..., str], docker_system: DockerSystem, engine: Engine, output_of: Output
) -> None:
    lines = "RUN mkdir -p /opt/app/pkg && chown -R nobody /opt/app && echo kept > /opt/app/old\nWORKDIR /opt/app\n"
    more = 'ENV A="b c"\nUSER nobody\nLABEL l=m\nENTRYPOINT ["sh","-c"]\nCMD ["echo cmd"]\nEXPOSE 80\n'
    made = make(base_image(docker_system, "xrun-test-config:1", lines + more))

    now, was = engine.api.inspect_image(made)["Config"], engine.api.inspect_image("xrun-test-config:1")["Config"]
    kept = ("Env", "User", "Entrypoint", "Cmd", "ExposedPorts", "WorkingDir")
    assert {key: now[key] for key in kept} == {key: was[key] for key in kept}
    assert now["Labels"]["l"] == "m"
    assert output_of(made, "cat old; stat -c %U .; wc -l < pkg/model.py; echo $A") == b"kept\nnobody\n1000\nb c\n"


def test_any_name_arrives(make: Callable[..., str], top: Path, engine: Engine) -> None:
    names = ["new\nline", "\udcff\udcfe", "caf\u00e9", " ", "-rf", "a" * 255, "*?[x]", "\x01\x7f", "tab\tquote'\""]
    for name in names:
        (top / "pkg" / name).write_text(name.encode("utf-8", "replace").decode())
    made = make()

    container = engine.api.create_container(made, ["sh"])["Id"]
    try:
        pieces, _ = engine.api.get_archive(container, "/workspace/pkg")
        assert {path.removeprefix("pkg/") for path in _names(b"".join(pieces))} == {"pkg", "model.py", *names}
    finally:
        engine.api.remove_container(container)


def _names(archive: bytes) -> set[str]:
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as tar:
        return set(tar.getnames())


def test_nothing_changed_nothing_built(
    make: Callable[..., str], top: Path, engine: Engine, docker_system: DockerSystem, tmp_path: Path
) -> None:
    before = images_of(engine)
    first = make()
    (top / "train.py").touch()

    assert make() == first
    assert images_of(engine) == before + 1
    images = Images(engine)
    assert images.prepare(docker_system.image, Workspace({str(top): ""})) == first
    (top / "train.py").write_text("changed")
    assert images.prepare(docker_system.image, Workspace({str(top): ""})) == first  # ready for this submission


def test_a_change_is_a_small_layer(
    make: Callable[..., str], top: Path, engine: Engine, output_of: Output, docker_system: DockerSystem
) -> None:
    first = make()
    (top / "train.py").write_text("two")
    second = make()

    layers = engine.api.inspect_image(second)["RootFS"]["Layers"]
    assert layers[:-1] == engine.api.inspect_image(first)["RootFS"]["Layers"]
    assert engine.api.history(second)[0]["Size"] == 3
    assert output_of(second, "cat", "train.py") == b"two"

    (top / "pkg/model.py").unlink()
    third = make()
    assert output_of(third, "find", ".", "-type", "f") == b"./train.py\n"
    assert (
        engine.api.inspect_image(third)["RootFS"]["Layers"][:-1]
        == engine.api.inspect_image(docker_system.image)["RootFS"]["Layers"]
    )


def test_links_that_lead_out_travel_as_they_are(make: Callable[..., str], top: Path, output_of: Output) -> None:
    targets = {"up": "../sib", "far": "../../../../etc/passwd", "deep/l": "../../x", "whole": "/etc/hostname"}
    (top / "deep").mkdir()
    for path, target in targets.items():
        (top / path).symlink_to(target)
    made = make()
    for path, target in targets.items():
        assert output_of(made, "readlink", f"/workspace/{path}") == f"{target}\n".encode()
    assert output_of(made, "cat", "/workspace/train.py") == (top / "train.py").read_bytes()


def test_an_empty_workspace_is_an_empty_folder(
    engine: Engine, tmp_path: Path, docker_system: DockerSystem, output_of: Output
) -> None:
    (tmp_path / "none").mkdir()
    made = Images(engine).prepare(docker_system.image, Workspace({str(tmp_path / "none"): ""}))
    assert output_of(made, "sh", "-c", "pwd; ls -A") == b"/workspace\n"


def test_several_sources(engine: Engine, top: Path, docker_system: DockerSystem, output_of: Output) -> None:
    workspace = Workspace.from_str(f"{top},libs/a={top}/pkg")
    made = Images(engine).prepare(docker_system.image, workspace)

    assert output_of(made, "cmp", "libs/a/model.py", "pkg/model.py") == b""


@pytest.mark.parametrize("volume", ["/data", "/data/", "/data/here", "/"])
def test_files_in_a_volume_would_be_lost(
    make: Callable[..., str], docker_system: DockerSystem, engine: Engine, volume: str
) -> None:
    image = base_image(docker_system, "xrun-test-volume:1", f'VOLUME ["{volume}"]\nWORKDIR /data/here\n')

    with pytest.raises(BackendError, match="declares .* as a volume, so that files put into /data/here would be lost"):
        make(image)
    assert helpers_of(engine) == []


# --- what breaks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "answered"),
    [
        *(("/containers/create", False), ("/containers/create", True), ("/archive", False), ("/archive", True)),
        *(("/commit", False), ("/commit", True), ("# of ", False), ("/images/json", False)),
    ],
)
def test_a_cut_line_leaves_nothing_behind(
    line: CutLine, engine: Engine, docker_system: DockerSystem, top: Path, words: str, answered: bool
) -> None:
    broken = Engine(line.host)
    line.cut(words, answered=answered)
    with pytest.raises(BackendUnavailable, match="can't be reached"):
        Images(broken).prepare(docker_system.image, Workspace({str(top): ""}))
    broken.close()
    assert line.cuts == 1

    before = images_of(engine)
    made = Images(engine).prepare(docker_system.image, Workspace({str(top): ""}))
    assert helpers_of(engine) == []
    assert images_of(engine) == before + (words != "/commit" or not answered)  # that one was made, and is found
    assert engine.api.inspect_image(made)["Config"]["WorkingDir"] == "/workspace"


def test_an_engine_that_is_gone_and_comes_back(
    line: CutLine, engine: Engine, docker_system: DockerSystem, sockets_forgotten: None
) -> None:
    broken = Engine(line.host)

    def layer(folder: str) -> Iterator[bytes]:
        yield b"\0" * 512
        line.close()
        line.cut("\0", answered=False)
        yield b"\0" * 512

    with pytest.raises(BackendUnavailable, match="can't be reached"):
        Images(broken).add_layer(docker_system.image, layer, {}, "cut")
    broken.close()

    assert engine.api.images(name=f"{REPOSITORY}:cut") == []
    assert len(helpers_of(engine)) == 1  # nobody could be told to remove it
    Images(engine)._sweep()
    assert helpers_of(engine) == []


def test_a_file_that_changes_meanwhile_leaves_nothing_behind(
    make: Callable[..., str], engine: Engine, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, sweep = images_of(engine), Images._sweep

    def late(images: Images) -> None:
        (top / "train.py").write_text("something else")
        sweep(images)

    monkeypatch.setattr(Images, "_sweep", late)
    with pytest.raises(InvalidJob, match="train.py: changed while it was read"):
        make()
    assert (images_of(engine), helpers_of(engine)) == (before, [])


def test_what_a_killed_build_left_is_removed_by_the_next(
    make: Callable[..., str], engine: Engine, docker_system: DockerSystem
) -> None:
    code = f"""
import os, signal
from xrun.schedulers.docker.client import Engine
from xrun.schedulers.docker.images import Images
def layer(folder):
    yield bytes(1024)
    os.kill(os.getpid(), signal.SIGKILL)
Images(Engine({docker_system.host!r})).add_layer({docker_system.image!r}, layer, {{}}, "killed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(helpers_of(engine)) == 1
    assert engine.api.images(name=f"{REPOSITORY}:killed") == []

    make()
    assert helpers_of(engine) == []


def test_an_engine_that_is_not_there(top: Path, sockets_forgotten: None) -> None:
    with pytest.raises(BackendUnavailable, match="can't be reached"):
        Images(Engine("unix:///nowhere/docker.sock")).prepare("x", Workspace({str(top): ""}))


# --- Dockerfile.xrun ------------------------------------------------------------------------------------------------


def test_a_dockerfile_is_built(make: Callable[..., str], top: Path, output_of: Output) -> None:
    text = "ARG IMAGE\nFROM ${IMAGE}\nWORKDIR /code\nCOPY . .\nRUN echo building >&2; ls > listed; echo a b\n"
    (top / "Dockerfile.xrun").write_text(text)
    (top / ".dockerignore").write_text("Dockerfile*\npkg\n")
    said: list[str] = []
    made = make(progress=said.append)

    assert output_of(made, "cat", "listed") == b"listed\ntrain.py\n"
    assert said[0] == "building Dockerfile.xrun"
    assert {"building", "a b"} <= {line.strip() for line in said}
    said.clear()
    assert make(progress=said.append) == made
    assert said == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ARG IMAGE\nFROM $IMAGE\nRUN echo oh no; exit 3\n", "returned a non-zero code: 3; the last it said: oh no"),
        ("FROM\n", "FROM requires either one or three arguments"),
        ("NONSENSE\n", "unknown instruction: NONSENSE"),
        ("", "empty"),
        ("ARG IMAGE\nFROM $IMAGE\nCOPY nowhere .\n", "nowhere"),
    ],
)
def test_a_dockerfile_that_fails(make: Callable[..., str], top: Path, engine: Engine, text: str, message: str) -> None:
    (top / "Dockerfile.xrun").write_text(text)
    before = images_of(engine), len(engine.api.containers(all=True))

    with pytest.raises(BackendError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert "Dockerfile.xrun" in str(caught.value)
    assert (images_of(engine), len(engine.api.containers(all=True))) == before


@pytest.mark.parametrize(("words", "answered"), [("/build", False), ("/build", True), ("# of ", False)])
def test_a_line_cut_while_a_dockerfile_is_built(
    line: CutLine, top: Path, docker_system: DockerSystem, words: str, answered: bool
) -> None:
    (top / "Dockerfile.xrun").write_text("ARG IMAGE\nFROM $IMAGE\nCOPY . /x\n")
    broken = Engine(line.host)
    line.cut(words, answered=answered)

    with pytest.raises(BackendUnavailable):
        Images(broken).prepare(docker_system.image, Workspace({str(top): ""}))
    broken.close()
    assert line.cuts == 1


# --- registries -----------------------------------------------------------------------------------------------------


@pytest.fixture
def remote(docker_system: DockerSystem) -> Iterator[str]:
    """The name of an image that only the registry has."""
    name = f"{docker_system.registry}/team/base:1"
    docker(docker_system, "tag", docker_system.image, name)
    docker(docker_system, "push", name)
    docker(docker_system, "rmi", name)
    yield name
    subprocess.run(["docker", "--host", docker_system.host, "rmi", name], capture_output=True, timeout=60)


@pytest.fixture(params=[401, 403])
def refusing(request: pytest.FixtureRequest) -> Iterator[str]:
    """A registry that answers nothing but an error."""
    status: int = request.param

    class Handler(http.server.BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            body = b'{"errors":[{"code":"DENIED","message":"access denied"}]}'
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _refuse  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_missing_image_is_pulled(engine: Engine, remote: str) -> None:
    with pytest.raises(BackendError, match=r"there is no image .* on the engine; pull or build it, or allow it") as no:
        Images(engine, pull="never").prepare(remote)
    assert no.value.code == "XR125"

    said: list[str] = []
    assert Images(engine, progress=said.append).prepare(remote) == remote
    assert said[0] == f"pulling {remote}"
    assert engine.api.inspect_image(remote)
    said.clear()
    assert Images(engine, progress=said.append).prepare(remote) == remote
    assert said == []


def test_always_pulls_what_is_newer(engine: Engine, remote: str, docker_system: DockerSystem) -> None:
    images = Images(engine, pull="always")
    old = images.base(remote)
    docker(docker_system, "build", "--tag", remote, "-", stdin=f"FROM {docker_system.image}\nENV A=b\n".encode())
    docker(docker_system, "push", remote)
    new = engine.api.inspect_image(remote)["Id"]
    docker(docker_system, "tag", old, remote)

    assert Images(engine).base(remote) == old
    assert Images(engine, pull="always").base(remote) == new != old
    assert Images(engine, pull="always").base(new) == new  # an id is what it is


def test_an_image_that_is_here_is_never_pulled(engine: Engine, docker_system: DockerSystem) -> None:
    name = "127.0.0.1:1/nobody:listens"
    docker(docker_system, "tag", docker_system.image, name)

    assert Images(engine).prepare(name) == name
    with pytest.raises(BackendUnavailable, match=r"127.0.0.1:1/nobody:listens can't be pulled: its registry can't be"):
        Images(engine, pull="always").prepare(name)


@pytest.mark.parametrize("name", ["{}/team/nothing:1", "{}/team/base:nothing", "{}/team/base@sha256:" + "0" * 64])
def test_no_such_image(engine: Engine, remote: str, docker_system: DockerSystem, name: str) -> None:
    name = name.format(docker_system.registry)
    with pytest.raises(BackendError, match="can't be pulled: .*; check its name and tag") as caught:
        Images(engine).prepare(name)
    assert caught.value.code == "XR135"


@pytest.mark.parametrize("name", ["UPPER", "a b", "x:y:z", "\n", "-"])
def test_a_name_that_is_none(engine: Engine, name: str) -> None:
    with pytest.raises(BackendError) as caught:
        Images(engine).prepare(name)
    assert "\n" not in str(caught.value)


def test_an_id_that_is_not_here(engine: Engine) -> None:
    with pytest.raises(BackendError, match=r"there is no image sha256:00.* on the engine; pull or build it, or check"):
        Images(engine).prepare("sha256:" + "0" * 64)


def test_a_workspace_is_pushed_and_pulled_by_its_digest(
    engine: Engine, top: Path, docker_system: DockerSystem, output_of: Output
) -> None:
    repo, said = f"{docker_system.registry}/team/jobs", list[str]()
    images = Images(engine, progress=said.append)
    pushed = images.prepare(docker_system.image, Workspace({str(top): ""}), repo)

    assert pushed.startswith(f"{repo}@sha256:")
    assert f"pushing to {repo}" in said
    assert Images(engine).prepare(docker_system.image, Workspace({str(top): ""}), repo) == pushed
    local = engine.api.inspect_image(pushed)
    for tag in local["RepoTags"]:
        engine.api.remove_image(tag, force=True)
    assert Images(engine).inspect(pushed) is None
    assert Images(engine).prepare(pushed) == pushed
    assert output_of(pushed, "cat", "train.py") == (top / "train.py").read_bytes()
    assert Images(engine).prepare(docker_system.image, None, repo) == docker_system.image


def test_a_registry_that_is_down(engine: Engine, docker_system: DockerSystem) -> None:
    with pytest.raises(BackendUnavailable, match=r"can't be pushed to 127.0.0.1:1/jobs: its registry can't be reached"):
        Images(engine).push(docker_system.image, "127.0.0.1:1/jobs")


def test_a_registry_that_refuses(engine: Engine, docker_system: DockerSystem, refusing: str) -> None:
    with pytest.raises(BackendError, match="the image can't be pushed to .*; docker login to its registry"):
        Images(engine).push(docker_system.image, f"{refusing}/team/jobs")
    with pytest.raises(BackendError, match="can't be pulled.*docker login"):
        Images(engine).prepare(f"{refusing}/team/jobs:1")


@pytest.mark.parametrize("repo", ["localhost:5000/x:tag", "x@sha256:00", "UPPER/x", "a b", ""])
def test_a_repository_that_is_none(engine: Engine, docker_system: DockerSystem, repo: str) -> None:
    with pytest.raises(BackendError, match="can't be pushed to") as caught:
        Images(engine).push(docker_system.image, repo)
    assert caught.value.code == "XR136"


@pytest.mark.parametrize(("words", "answered"), [("/push", False), ("/push", True)])
def test_a_line_cut_while_an_image_is_pushed(
    line: CutLine, docker_system: DockerSystem, words: str, answered: bool
) -> None:
    broken = Engine(line.host)
    line.cut(words, answered=answered)
    with pytest.raises(BackendUnavailable):
        Images(broken).push(docker_system.image, f"{docker_system.registry}/team/cut")
    broken.close()


def test_many_files_fit(make: Callable[..., str], top: Path, output_of: Output) -> None:
    for i in range(1_000):
        folder = top / f"d{i % 100}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{i}").write_text(str(i))
    made = make()

    assert output_of(made, "sh", "-c", "find . -type f | wc -l") == b"1002\n"
    assert output_of(made, "cat", "d99/f999") == b"999"
