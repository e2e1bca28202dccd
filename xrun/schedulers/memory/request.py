"""An AppDef as this process runs it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from xrun.specs.app import AppDef
from xrun.specs.options import CommonOptions
from xrun.specs.serialize import to_yaml


@dataclass(frozen=True)
class MemoryOptions(CommonOptions):
    """Options of ``-s memory``."""


@dataclass(frozen=True)
class MemoryRequest:
    """What an `App` is made from, but for what only the moment knows (environment, folder, secrets).

    Attributes:
        app_id: the app's id.
        handle: its handle.
        app: the job; nobody changes it any more.
        options: how to run it.
    """

    app_id: str
    handle: str
    app: AppDef
    options: MemoryOptions


def render(request: MemoryRequest) -> str:
    """The job as YAML; no other program could take what this scheduler takes."""
    return f"# {request.handle}\n{to_yaml(request.app)}"
