"""The engine: the only file that knows the docker SDK. Its errors become ours here."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from xrun.errors import BackendError, BackendUnavailable
from xrun.schedulers.streams import Stream

_LIBRARY, _UNREACHABLE, _REFUSED, _CONTEXT = "XR120", "XR121", "XR122", "XR123"
_TIMEOUT = 60
_AWAY = (502, 503, 504)  # statuses of what stands before an engine that is away


class Refused(BackendError):
    """The engine answered no.

    Args:
        message: what was asked and its answer.
        status: the HTTP status, as 404 for what is not there and 409 for a name that is taken.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, code=_REFUSED)
        self.status = status


class Engine:
    """One docker engine, connected to on first use. May be used from several threads.

    Args:
        host: its address, as ``unix:///var/run/docker.sock`` or ``tcp://host:2376``; empty for that of the environment
            (DOCKER_HOST) or the docker command line's current context.
        patience: seconds that it has for an answer.
    """

    def __init__(self, host: str = "", patience: float = _TIMEOUT) -> None:
        self._host = host
        self._patience = patience
        self._lock = threading.Lock()
        self._api: Any = None
        self._pid = os.getpid()

    @property
    def host(self) -> str:
        """Its address."""
        return self._host or os.environ.get("DOCKER_HOST", "") or _context_host() or "unix:///var/run/docker.sock"

    @property
    def hostname(self) -> str:
        """The name of the host that it publishes ports on."""
        return urlsplit(self.host).hostname or "localhost"

    @property
    def api(self) -> Any:
        """The SDK's low-level client (``docker.APIClient``), for use inside `doing`.

        Raises:
            BackendError: the SDK is not installed.
            BackendUnavailable: the engine does not answer.
        """
        self._notice_fork()
        with self._lock:
            if self._api is None:
                self._api = self._connect()
            return self._api

    @contextmanager
    def doing(self, what: str) -> Iterator[Any]:
        """The API, for one thing; errors of the SDK become ours.

        Args:
            what: for the message, as ``"create container x"``.

        Raises:
            Refused: the engine answered no.
            BackendUnavailable: it can't be reached, or went away meanwhile.
        """
        api = self.api
        import requests
        from docker.errors import APIError, DockerException

        try:
            yield api
        except APIError as error:
            text = str(error.explanation or error).strip().splitlines()
            status = int(error.status_code or 500)
            if status in _AWAY:
                raise self._unavailable(error) from error
            raise Refused(f"docker can't {what}: {' '.join(text) or error}", status) from error
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise self._unavailable(error) from error

    @contextmanager
    def logs(self, container: str, params: dict[str, Any]) -> Iterator[Stream]:
        """The raw body of ``GET /containers/ID/logs``, to be read from; the SDK's own call drops which stream it was.

        Raises:
            Refused: the engine answered no.
            BackendUnavailable: it can't be reached, or went away meanwhile.
        """
        import urllib3

        with self.doing("read the log") as api:
            url = f"{api.base_url}/v{api.api_version}/containers/{container}/logs"
            timeout = (_TIMEOUT, None if params.get("follow") else _TIMEOUT)
            with api.get(url, params=params, stream=True, timeout=timeout) as response:
                if response.status_code >= 400:
                    raise Refused(f"docker can't read the log: {response.text.strip()}", response.status_code)
                try:
                    yield Stream(response.raw)
                except urllib3.exceptions.HTTPError as error:
                    raise self._unavailable(error) from error

    def close(self) -> None:
        """Lets go of the connection."""
        self._notice_fork()
        with self._lock:
            if self._api is not None:
                self._api.close()
            self._api = None

    def _notice_fork(self) -> None:
        """A connection is not shared over a fork, and a lock may have been held by a thread that isn't in the child."""
        if self._pid != os.getpid():
            self._lock, self._api, self._pid = threading.Lock(), None, os.getpid()

    def _connect(self) -> Any:
        try:
            import docker
            import requests
        except ImportError as error:
            raise BackendError(
                "the docker SDK is not installed; get it with pip install 'xrun[docker]'", code=_LIBRARY
            ) from error
        try:
            _knock(self.host)
            kwargs = docker.utils.kwargs_from_env()
            kwargs["base_url"] = self.host
            return docker.APIClient(version="auto", timeout=self._patience, **kwargs)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise self._unavailable(error) from error
        except ValueError as error:  # from urllib, about an address that is none
            raise BackendError(f"{self.host!r} is no address of an engine: {error}", code=_UNREACHABLE) from error

    def _unavailable(self, error: Exception) -> BackendUnavailable:
        reason = " ".join(str(error).split())
        if "Permission denied" in reason:
            return BackendUnavailable(
                f"no permission to use the docker engine at {self.host}; add yourself to its group"
            )
        return BackendUnavailable(
            f"the docker engine at {self.host} can't be reached ({reason:.200}); is it running? "
            "DOCKER_HOST names another",
            code=_UNREACHABLE,
        )


def _knock(host: str) -> None:
    """Whether anybody listens at a socket; the SDK leaves its own open if nobody does.

    Raises:
        OSError: nobody does.
    """
    scheme, _, path = host.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)


def _context_host() -> str:
    """The address of the docker command line's current context; empty for its default."""
    try:
        from docker.context import ContextAPI
        from docker.utils.config import find_config_file

        name, config = os.environ.get("DOCKER_CONTEXT", ""), find_config_file()
        if not name and config:
            with open(config, encoding="utf-8") as file:
                name = json.load(file).get("currentContext", "")
        if name in ("", "default"):
            return ""
        context = ContextAPI.get_context(name)
    except ImportError:
        raise
    except Exception as error:
        raise BackendError(f"the docker command line's context can't be read: {error}", code=_CONTEXT) from error
    if context is None:
        message = f"the docker command line's context is {name!r}, and there is none of that name; docker context ls"
        raise BackendError(f"{message} lists them, DOCKER_HOST names an engine without one", code=_CONTEXT)
    return str(context.Host or "")
