"""Ways to a cluster that lead nowhere, or to one that doesn't want us: one line, a code, and what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.schedulers.kubernetes.jobs import Team
from tests.systems.kube.place import Place
from tests.systems.kubernetes_cluster import group

pytestmark = [group("verbs"), pytest.mark.timeout(120)]

JOB = "kubernetes://default/job-12345"
NO_CONFIGS = {
    "nothing": "",
    "a part": "{",
    "a list": "[]",
    "words": "just text",
    "a zero": "\0",
    "other types": "apiVersion: v1\nkind: Config\nclusters: 3\n",
    "another context": "current-context: nosuch\n",
}


def asked(home: Path, kubeconfig: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "KUBECONFIG": kubeconfig, "XRUN_HOME": str(home)}
    command = [sys.executable, "-m", "xrun", *(words or ("status", JOB))]
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=60)


def refused(done: subprocess.CompletedProcess[str], code: int, error: str, *words: str) -> None:
    """One line says what is wrong; the other that may be there is the one about explanations."""
    first, *others = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert first.startswith(f"xrun: [{error}] "), done.stderr
    assert all(word in first for word in words), first
    assert [line for line in others if "xrun explain" not in line] == []
    assert done.stdout == ""


@pytest.mark.parametrize("text", NO_CONFIGS.values(), ids=NO_CONFIGS.keys())
def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    refused(asked(tmp_path, str(tmp_path / "config")), 4, "XR171", str(tmp_path / "config"))


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    refused(asked(tmp_path, f"{tmp_path}/no such\nfile"), 4, "XR171", "kubectl config get-contexts")


def test_a_context_that_is_not_there(team: Team, tmp_path: Path) -> None:
    (tmp_path / "xrun.toml").write_text('[profiles.other.schedulers.kubernetes]\ncontext = "nosuch"\n')
    done = asked(tmp_path, os.environ["KUBECONFIG"], "status", "kubernetes://other/job-12345")
    refused(done, 4, "XR171", "nosuch")


@pytest.fixture
def changed(team: Team, tmp_path: Path) -> Callable[..., str]:
    """A kubeconfig of the cluster with something changed."""

    def make(**fields: Any) -> str:
        place = Place(team.system.folder)
        config = json.loads(place.kubeconfig.read_text())
        for name, value in fields.items():
            holder = config["users"][0]["user"] if name == "token" else config["clusters"][0]["cluster"]
            holder[name.replace("_", "-")] = value
        path = tmp_path / "changed"
        path.write_text(json.dumps(config))
        return str(path)

    return make


def test_a_token_that_nobody_knows(changed: Callable[..., str], tmp_path: Path) -> None:
    refused(asked(tmp_path, changed(token="nobody")), 4, "XR170", "the cluster does not know you")


def test_another_certificate(changed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    done = asked(tmp_path, changed(certificate_authority=str(tmp_path / "ca.crt")))
    assert done.returncode in (4, 8)
    assert done.stderr.startswith("xrun: [XR1")
    assert "Traceback" not in done.stderr


def test_a_port_where_nobody_listens(changed: Callable[..., str], tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening
        closed.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{closed.getsockname()[1]}"
        refused(asked(tmp_path, changed(server=server)), 8, "XR168", server)


def test_something_else_listens_there(team: Team, changed: Callable[..., str], tmp_path: Path) -> None:
    # etcd speaks HTTP, and knows nothing of jobs
    server = f"http://127.0.0.1:{Place(team.system.folder).ports['etcd']}"
    done = asked(tmp_path, changed(server=server))
    assert done.returncode in (4, 8)
    assert done.stderr.startswith("xrun: [XR1")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["status", "doctor"])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in</title>", b"[]", b"{}", b"null", b""])
def test_a_login_page(tmp_path: Path, verb: str, page: bytes) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "jobs" in self.path or "version" in self.path else 302)
            self.send_header("Location", "/login")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = kubeconfig(tmp_path, server=f"http://127.0.0.1:{server.server_port}")
        if verb == "status":
            refused(asked(tmp_path, config), 4, "XR169", "a login page or proxy may be there")
        else:
            done = asked(tmp_path, config, "doctor", "-s", "kubernetes")
            assert done.returncode != 0
            assert "a login page or proxy may be there" in done.stdout + done.stderr
        server.shutdown()


def kubeconfig(folder: Path, server: str = "https://127.0.0.1:1", **user: Any) -> str:
    """A kubeconfig of a cluster that need not be there."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "mine", "context": {"cluster": "one", "user": "me"}}],
        "current-context": "mine",
    }
    path = folder / "config"
    path.write_text(json.dumps(config))
    return str(path)


@pytest.mark.parametrize("token", ["two\nlines", "s\u00e9same"])
def test_a_token_that_no_header_can_hold(tmp_path: Path, token: str) -> None:
    refused(asked(tmp_path, kubeconfig(tmp_path, token=token)), 4, "XR171", "get a new one")


def test_a_server_without_its_protocol(tmp_path: Path) -> None:
    done = asked(tmp_path, kubeconfig(tmp_path, server="127.0.0.1:6443", token="x"))
    refused(done, 4, "XR171", "127.0.0.1:6443 has no https://")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo please log in >&2; exit 3", ["returned 3", "please log in"]),
        ("echo '{}'", ["exec:"]),
        ("true", ["exec:"]),
    ],
)
def test_a_program_that_gives_no_token(tmp_path: Path, script: str, words: list[str]) -> None:
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script]}
    given = kubeconfig(tmp_path, exec={**program, "interactiveMode": "Never"})
    refused(asked(tmp_path, given), 4, "XR171", given, *words)


def test_two_kubeconfigs_are_one(team: Team, tmp_path: Path) -> None:
    config = json.loads(Place(team.system.folder).kubeconfig.read_text())
    for name, kept in (("a", ["clusters", "users"]), ("b", ["contexts", "current-context"])):
        part = {key: value for key, value in config.items() if key in ("apiVersion", "kind", *kept)}
        (tmp_path / name).write_text(json.dumps(part))
    done = asked(tmp_path, f"{tmp_path}/a:{tmp_path}/b")
    assert done.returncode == 5, done.stderr  # the cluster was asked, and knows no such job


def test_the_first_of_two_kubeconfigs_decides(tmp_path: Path) -> None:
    names = {"a": "first", "b": "second", "c": ""}
    for file, name in names.items():
        config = {
            "clusters": [{"name": name, "cluster": {"server": f"{name}.example:1"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "x"}}],
            "current-context": name,
        }
        (tmp_path / file).write_text(json.dumps({k: v for k, v in config.items() if name or k == "current-context"}))
    for order, expected in (("ab", "first"), ("ba", "second"), ("ac", "first"), ("cb", "second")):
        done = asked(tmp_path, ":".join(str(tmp_path / file) for file in order))
        refused(done, 4, "XR171", f"server {expected}.example:1 has no https://")


def test_without_the_client(tmp_path: Path) -> None:
    (tmp_path / "kubernetes.py").write_text("raise ImportError('not here')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.getcwd()}", "XRUN_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "xrun", "status", JOB]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    refused(done, 4, "XR167", "pip install 'xrun[kubernetes]'")
