"""A follow that is closed: none of its threads goes on, whatever it waits for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from xrun.schedulers.kubernetes import logs
from xrun.schedulers.kubernetes.client import Cluster
from xrun.schedulers.kubernetes.logs import Part
from xrun.schedulers.kubernetes.objects import Pod
from xrun.schedulers.logs import CAUGHT_UP, LogChunk, LogQuery

LINE = b"2026-01-01T00:00:00.%09dZ line %d\n"


class Kubelet(ThreadingHTTPServer):
    """Logs that go on: of pod ``silent`` nothing comes, of ``full`` more than anybody reads.

    Attributes:
        cuts: connections that are still to be cut in the middle of what there is of pod ``cut``.
    """

    daemon_threads = True
    ended = threading.Event()
    cuts = 2

    def handle_error(self, *_: object) -> None:
        """Readers hang up here."""


class _Logs(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Kubelet

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        follows = "follow=true" in self.path
        if "/full/" in self.path and follows:
            data = b"".join(LINE % (i, i) for i in range(10_000))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if "/cut/" in self.path and not follows:
            self.server.cuts -= 1
            data = b"".join(LINE % (i, i) for i in range(10 if self.server.cuts < 0 else 5))
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if "/cut/" in self.path and self.server.cuts >= 0:
            self.close_connection = True
        elif follows:
            self.server.ended.wait(60)
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Kubelet(("127.0.0.1", 0), _Logs) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        named = {"name": "one", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        config = {
            "current-context": "one",
            "clusters": [named],
            "users": [{"name": "one", "user": {}}],
            "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        there = Cluster(str(path))
        yield there
        there.close()
        server.ended.set()
        server.shutdown()
        serving.join()
    server.ended.clear()


def part(name: str, attempt: int = 0) -> Part:
    pod = Pod(name, f"{name}-{attempt}", "", "main", 0, 0, attempt, "Running", "", float(attempt), started=1.0)
    return Part(pod, "main", False, "")


def waiting() -> tuple[Callable[[set[tuple[str, str]]], list[Part]], Callable[[], None]]:
    """What waits for more pods, of which there won't be any, and what wakes it."""
    woken = threading.Event()

    def more(_: set[tuple[str, str]]) -> list[Part]:
        woken.wait()
        return []

    return more, woken.set


def ours() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("xrun-kubernetes-log")}


@pytest.mark.parametrize(
    "parts",
    [[], [part("silent")], [part("full")], [part("silent", n) for n in range(3)]],
    ids=["none", "silent", "unread", "attempts"],
)
def test_nothing_goes_on_once_it_is_closed(cluster: Cluster, parts: list[Part]) -> None:
    for _ in range(10):  # at any moment of their beginning
        chunks = logs.follow(cluster, parts, LogQuery(follow=True), *waiting())
        assert next(chunk for chunk in chunks if chunk is CAUGHT_UP)
        assert "xrun-kubernetes-logs" in ours()
        close(chunks)
        assert ours() == set()


def test_nothing_goes_on_once_it_is_closed_in_the_middle(cluster: Cluster) -> None:
    chunks = logs.follow(cluster, [part("full"), part("silent")], LogQuery(follow=True), *waiting())
    lines = [next(chunk for chunk in chunks if chunk.data) for _ in range(1000)]
    assert [chunk.data for chunk in lines] == [b"line %d\n" % i for i in range(1000)]
    close(chunks)
    assert ours() == set()


def test_a_line_that_is_cut_while_it_reads_what_there_is(cluster: Cluster) -> None:
    found = []
    chunks = logs.follow(cluster, [part("cut"), part("silent")], LogQuery(follow=True), *waiting())
    for chunk in chunks:
        if chunk is CAUGHT_UP:
            break
        found.append(chunk.data)
    assert found == [b"line %d\n" % i for i in range(10)]
    close(chunks)
    assert ours() == set()


def close(chunks: Iterator[LogChunk]) -> None:
    """As Python does with a generator that nobody has any more."""
    chunks.close()  # type: ignore[attr-defined] # it is a generator
