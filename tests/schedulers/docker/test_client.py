"""Which engine is meant, and what is said of an address that is none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xrun.errors import BackendError
from xrun.schedulers.docker.client import Engine

Configure = Callable[..., None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Writes the docker command line's files, with contexts by name, and takes DOCKER_HOST away."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(config: str, **hosts: str) -> None:
        (tmp_path / ".docker").mkdir(exist_ok=True)
        for folder in (tmp_path, tmp_path / ".docker"):
            (folder / "config.json").write_text(config)
            for name, host in hosts.items():
                meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
                meta.mkdir(parents=True)
                about = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
                (meta / "meta.json").write_text(json.dumps(about))

    return write


@pytest.mark.parametrize("host", ["http://:70000", "http://[::1", "tcp://localhost:99999", "tcp://h:abc"])
def test_an_address_that_is_none(host: str) -> None:
    with pytest.raises(BackendError) as refused, Engine(host).doing("look"):
        pass
    assert refused.value.code == "XR121"
    assert host in str(refused.value)


def test_the_current_context(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    configure('{"currentContext": "mine"}', mine="unix:///mine.sock", other="tcp://other:2375")
    assert Engine().host == "unix:///mine.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert Engine().host == "tcp://other:2375"
    assert Engine().hostname == "other"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert Engine().host == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///env.sock")
    assert Engine().host == "unix:///env.sock"
    assert Engine("unix:///given.sock").host == "unix:///given.sock"


@pytest.mark.parametrize(
    ("config", "said"), [('{"currentContext": "gone"}', "'gone'"), ("{bad", "can't be read"), ("[]", "can't be read")]
)
def test_a_context_that_cannot_be_had(configure: Configure, config: str, said: str) -> None:
    configure(config)
    with pytest.raises(BackendError, match=said) as refused:
        _ = Engine().host
    assert refused.value.code == "XR123"
