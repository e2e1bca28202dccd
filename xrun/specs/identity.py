"""App ids, known before submission and legal on every backend, and the hash that tells two jobs apart."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from typing import Any

from xrun.specs.app import AppDef
from xrun.specs.serialize import to_plain

MAX_APP_ID = 40
_SUFFIX = 5
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LEGAL = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")


def new_request_id() -> str:
    """A request id that nobody else has: 128 random bits in hex."""
    return os.urandom(16).hex()


def make_app_id(name: str, request_id: str) -> str:
    """``<app name>-<5 characters>``, at most 40 characters, DNS-1123, first a letter.

    A name that is longer or holds other characters is shortened and gets four characters of its own hash, so that
    ``My Job`` and ``my-job`` stay apart.

    Args:
        name: the app's name, any text.
        request_id: what the last five characters come from.
    """
    return f"{_legal_name(name)}-{_characters(request_id, _SUFFIX)}"


def rendezvous_port(app_id: str) -> int:
    """A port in 20000-29999 that follows from the text: two jobs may share a node."""
    return 20000 + zlib.crc32(app_id.encode("utf-8", "surrogateescape")) % 10000


def spec_hash(app: AppDef, options: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over an AppDef and scheduler options, the same for the same content in any process."""
    import json

    text = json.dumps([to_plain(app), to_plain(dict(options))], sort_keys=True, separators=(",", ":"))
    return _sha256(text.encode()).hex()


def _legal_name(name: str) -> str:
    room = MAX_APP_ID - _SUFFIX - 1
    if len(name) <= room and _LEGAL.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = f"app-{plain}".rstrip("-")
    return f"{plain[: room - 5].rstrip('-')}-{_characters(name, 4)}"


def _characters(text: str, count: int) -> str:
    number = int.from_bytes(_sha256(text.encode("utf-8", "surrogatepass"))[:8], "big")
    found = []
    for _ in range(count):
        number, index = divmod(number, len(_ALPHABET))
        found.append(_ALPHABET[index])
    return "".join(found)


def _sha256(data: bytes) -> bytes:
    from hashlib import sha256  # brings OpenSSL, which a supervisor has no use for

    return sha256(data).digest()
