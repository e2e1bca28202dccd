"""The cluster: the only file that knows the Kubernetes client. Its errors become ours here.

Of the client only its reading of kubeconfigs, its authentication and its connections are used: objects are plain JSON,
which any version of it passes on unchanged, bytes of logs included.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from xrun import __version__
from xrun.errors import BackendError, BackendUnavailable, shown
from xrun.schedulers.kubernetes import kubeconfigs
from xrun.schedulers.streams import Stream

T = TypeVar("T")

AWAY = 120.0
"""Seconds without an answer after which who submits, waits or follows gives up, if the cluster answered before."""

_LIBRARY, _UNREACHABLE, _REFUSED, _CONFIG = "XR167", "XR168", "XR169", "XR171"
FORBIDDEN = "XR170"
"""Code of what one has no right to."""

_NO_RIGHT = re.compile(r"\bcannot \S+ (resource|path)\b")
_TIMEOUT = 60.0
_AWAY_STATUS = (429, 500, 502, 503, 504)
_BEGINS = 15.0
"""Seconds after an outage for which an API server that begins may not know yet who may do what."""

_PAGE = 500
_CONNECTIONS = 64
_HEARTBEAT = 150.0  # seconds; an API server sends a bookmark every minute or so

JSON, MERGE, STRATEGIC = "application/json", "application/merge-patch+json", "application/strategic-merge-patch+json"

POD, JOB, JOBSET, CONFIG_MAP, SECRET, SERVICE, EVENT, WORKLOAD, QUEUE = (
    "pods",
    "jobs",
    "jobsets",
    "configmaps",
    "secrets",
    "services",
    "events",
    "workloads",
    "localqueues",
)
_KUEUE = "/apis/kueue.x-k8s.io/v1beta1"
_GROUPS = {JOB: "/apis/batch/v1", JOBSET: "/apis/jobset.x-k8s.io/v1alpha2", WORKLOAD: _KUEUE, QUEUE: _KUEUE}
KINDS = {"Job": JOB, "JobSet": JOBSET, "ConfigMap": CONFIG_MAP, "Secret": SECRET, "Service": SERVICE}


class Refused(BackendError):
    """The API server answered no.

    Args:
        message: what was asked and its answer.
        status: the HTTP status, as 404 for what is not there and 409 for a name that is taken.
        reason: its word for that, as ``AlreadyExists``.
        code: see the errors' explanations.
    """

    def __init__(self, message: str, status: int, reason: str = "", code: str = _REFUSED) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.reason = reason


class NodeUnavailable(BackendUnavailable):
    """The cluster answers, and one of its nodes doesn't."""


class Listed(NamedTuple):
    """Objects of one kind, and the version from which on a watch tells what changes."""

    items: list[dict[str, Any]]
    version: str


class Cluster:
    """One namespace of a cluster, connected to on first use. May be used from several threads.

    Args:
        kubeconfig: its file; empty for KUBECONFIG, ~/.kube/config or, inside a pod, what is there.
        context: one of its contexts; empty for the current one.
        namespace: where objects are looked for that name none; empty for the context's.
    """

    def __init__(self, kubeconfig: str = "", context: str = "", namespace: str = "") -> None:
        self._kubeconfig, self._context, self._namespace = kubeconfig, context, namespace
        self._lock = threading.Lock()
        self._connected: _Connection | None = None
        self._pid = os.getpid()
        self._answered = False
        self._lost_at = float("-inf")  # when it did not answer last

    @property
    def host(self) -> str:
        """Its address."""
        return self._connection().host

    @property
    def namespace(self) -> str:
        """The namespace where objects are looked for."""
        return self._namespace or self._connection().namespace or "default"

    def path(self, kind: str, namespace: str = "", name: str = "", sub: str = "") -> str:
        """The path of objects, or of one of them.

        Args:
            kind: as in the API, ``"pods"``.
            namespace: empty for this cluster's.
            name: of one object.
            sub: what of it, as ``"log"``.
        """
        parts = [_GROUPS.get(kind, "/api/v1"), "namespaces", namespace or self.namespace, kind, name, sub]
        return "/".join(quote(part, safe="/.:") for part in parts if part)

    def get(self, what: str, path: str, **query: str) -> dict[str, Any]:
        """One object.

        Raises:
            Refused: it is not there, or not for us.
            BackendUnavailable: the cluster can't be reached.
        """
        return self._json(what, "GET", path, query)

    def create(self, what: str, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Makes an object; fields that the API doesn't know are refused."""
        return self._json(what, "POST", path, {"fieldValidation": "Strict", **query}, body)

    def patch(self, what: str, path: str, body: Any, kind: str = MERGE) -> dict[str, Any]:
        """Changes an object."""
        return self._json(what, "PATCH", path, {}, body, kind)

    def delete(self, what: str, path: str, propagation: str = "Background") -> bool:
        """Removes an object and what belongs to it; False if there is none."""
        try:
            self._json(what, "DELETE", path, {}, {"propagationPolicy": propagation})
        except Refused as error:
            if error.status == 404:
                return False
            raise
        return True

    def list(self, kind: str, namespace: str = "", selector: str = "", *, heads: bool = False, **query: str) -> Listed:
        """All objects of a kind, in pages.

        Args:
            kind: as in the API.
            namespace: empty for this cluster's.
            selector: of labels.
            heads: only their metadata.
            query: more of the query.
        """
        items: list[dict[str, Any]] = []
        asked = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {}), **query}
        while True:
            page = self._json(f"list {kind}", "GET", self.path(kind, namespace), asked, heads=heads)
            items += page.get("items") or []
            more = page["metadata"].get("continue")
            if not more:
                return Listed(items, page["metadata"].get("resourceVersion", ""))
            asked["continue"] = more

    @contextmanager
    def stream(self, what: str, path: str, query: Mapping[str, str], idle: float | None) -> Iterator[Stream]:
        """An answer that comes bit by bit.

        Args:
            what: for messages.
            path: of the resource.
            query: of the request.
            idle: seconds without a byte after which the line counts as cut; None for no limit.

        Raises:
            Refused: the API server answered no.
            BackendUnavailable: it can't be reached, or the line was cut.
        """
        response = self._request(what, "GET", path, query, idle=idle, streamed=True)
        try:
            with _translated(self, what):
                yield Stream(response)
        finally:
            response.close()
            response.release_conn()

    @contextmanager
    def watch(self, kind: str, namespace: str, selector: str, version: str, seconds: int) -> Iterator[Stream]:
        """What changes, as lines for `event`, until the server ends it.

        Args:
            kind: as in the API.
            namespace: empty for this cluster's.
            selector: of labels.
            version: from which on.
            seconds: after which the server ends it.

        Raises:
            Refused: with status 410 if the version is too old.
            BackendUnavailable: the cluster can't be reached, or the line was cut.
        """
        query = {"watch": "1", "resourceVersion": version, "labelSelector": selector, "timeoutSeconds": str(seconds)}
        query["allowWatchBookmarks"] = "true"
        with self.stream(f"watch {kind}", self.path(kind, namespace), query, _HEARTBEAT) as stream:
            yield stream

    def event(self, kind: str, line: bytes) -> dict[str, Any]:
        """One change: an object with ``type`` and ``object``.

        Raises:
            Refused: with status 410 if the watch's version is too old.
        """
        event: dict[str, Any] = json.loads(line)
        if event["type"] == "ERROR":
            raise self._refusal(f"watch {kind}", int(event["object"].get("code") or 500), event["object"])
        return event

    def steady(self, call: Callable[[], T], patience: float = AWAY) -> T:
        """Tries again while a cluster that answered before is away.

        Args:
            call: what is tried.
            patience: seconds without an answer after which it is given up.

        Raises:
            BackendUnavailable: it stays away, or never answered.
        """
        lost, pause = 0.0, 0.2
        while True:
            try:
                return call()
            except BackendUnavailable:
                lost = lost or time.monotonic()
                if not self._answered or time.monotonic() - lost > patience:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)

    def close(self) -> None:
        """Lets go of the connections."""
        self._notice_fork()
        with self._lock:
            if self._connected is not None:
                self._connected.pool.clear()
            self._connected = None

    # --- one call --------------------------------------------------------------------------------------------------

    def _json(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        kind: str = JSON,
        *,
        heads: bool = False,
    ) -> dict[str, Any]:
        try:
            response = self._request(what, method, path, query, body, kind, heads=heads)
        except BackendUnavailable:
            if method != "GET" or not self._answered:
                raise
            # a connection that was idle may have been closed meanwhile
            response = self._request(what, method, path, query, body, kind, heads=heads)
        try:
            found = json.loads(response.data)
        except ValueError:
            found = None
        if not found or not isinstance(found, dict):
            text = " ".join(response.data[:200].decode("utf-8", "replace").split())
            message = f"{self.host} answers {shown(text)}, which no API server does; a login page or proxy may be there"
            raise BackendError(f"can't {what}: {message}", code=_REFUSED)
        return found

    def _request(
        self,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        kind: str = JSON,
        *,
        heads: bool = False,
        idle: float | None = _TIMEOUT,
        streamed: bool = False,
    ) -> Any:
        connection = self._connection()
        import urllib3

        headers = {"Accept": _HEADS if heads else "*/*" if streamed else JSON, "User-Agent": f"xrun/{__version__}"}
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
            headers["Content-Type"] = kind
        url = f"{connection.host}{path}{'?' + urlencode(query) if query else ''}"
        with _translated(self, what):
            response = connection.pool.request(
                method,
                url,
                body=data,
                headers=headers | connection.authorization(),
                preload_content=not streamed,
                timeout=urllib3.Timeout(connect=10, read=idle),
                retries=False,
            )
            if response.status < 300:
                self._answered = True
                return response
            answer = response.data if not streamed else response.read(65536)
        if streamed:
            response.release_conn()
        try:
            said = json.loads(answer)
        except ValueError:
            said = {"message": answer.decode("utf-8", "replace")}
        raise self._refusal(what, response.status, said if isinstance(said, dict) else {})

    def _refusal(self, what: str, status: int, said: Mapping[str, Any]) -> BackendError | BackendUnavailable:
        words = " ".join(str(said.get("message") or f"HTTP status {status}").split())
        reason = str(said.get("reason") or "")
        if status in _AWAY_STATUS:
            return self.unavailable(words)
        if status in (401, 403) and self._answered and time.monotonic() - self._lost_at < _BEGINS:
            return self.unavailable(words, again=False)
        self._answered = True
        if status == 401 or (status == 403 and _NO_RIGHT.search(words)):  # 403 is also a quota's and a policy's answer
            whose = "no right to" if status == 403 else "the cluster does not know you: can't"
            return Refused(f"{whose} {what}: {words:.500}", status, reason, FORBIDDEN)
        return Refused(f"the cluster can't {what}: {words:.800}", status, reason)

    def unavailable(self, reason: object, *, again: bool = True) -> BackendUnavailable:
        """The error for a cluster that does not answer; ``again`` if it is news that it doesn't."""
        if again:
            self._lost_at = time.monotonic()
        words = " ".join(str(reason).split())
        if "/containerLogs/" in words:  # what the API server says that has asked a kubelet
            message = f"a node's kubelet can't be reached ({words:.300}); kubectl get nodes shows which is not Ready"
            return NodeUnavailable(message, code=_UNREACHABLE)
        return BackendUnavailable(
            f"the cluster at {self.host} can't be reached ({words:.300}); kubectl cluster-info shows whether it is up",
            code=_UNREACHABLE,
        )

    def _notice_fork(self) -> None:
        """A connection is not shared over a fork, and a lock may have been held by a thread that isn't in the child."""
        if self._pid != os.getpid():
            self._lock, self._connected, self._pid = threading.Lock(), None, os.getpid()

    def _connection(self) -> _Connection:
        self._notice_fork()
        with self._lock:
            if self._connected is None:
                self._connected = _connect(self._kubeconfig, self._context)
            return self._connected


_HEADS = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _Connection(NamedTuple):
    """Where a cluster is and how it knows us."""

    host: str
    namespace: str
    pool: Any
    configuration: Any

    def authorization(self) -> dict[str, str]:
        """The headers that say who we are; a token that has run out is had anew."""
        found = {}
        for setting in self.configuration.auth_settings().values():
            if setting["in"] == "header" and setting["value"]:
                found[str(setting["key"])] = str(setting["value"]).strip()
        if not all(value.isascii() and value.isprintable() for value in found.values()):
            raise BackendError(f"the token for {self.host} holds what no token can; get a new one", code=_CONFIG)
        return found


def _connect(kubeconfig: str, context: str) -> _Connection:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise BackendError(
            "the Kubernetes client is not installed; get it with pip install 'xrun[kubernetes]'", code=_LIBRARY
        ) from error
    configuration = client.Configuration()
    try:
        namespace = kubeconfigs.load(config, configuration, kubeconfig, context)
    except Exception as error:  # the client's own errors, YAML's, and those of programs that give tokens
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        reason = " ".join(str(error).split()).rstrip(".")
        raise BackendError(
            f"the cluster's address can't be had from {where}: {reason:.300}; kubectl config get-contexts shows what "
            "there is",
            code=_CONFIG,
        ) from error
    configuration.connection_pool_maxsize = _CONNECTIONS
    api = client.ApiClient(configuration)
    return _Connection(configuration.host.rstrip("/"), namespace, api.rest_client.pool_manager, configuration)


@contextmanager
def _translated(cluster: Cluster, what: str) -> Iterator[None]:
    import urllib3

    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise cluster.unavailable(f"{what}: {reason}") from error
