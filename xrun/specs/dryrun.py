"""A request that is ready to be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from xrun.specs.app import AppDef
from xrun.specs.identity import spec_hash
from xrun.specs.workspace import Workspace

R = TypeVar("R")


class Origin(NamedTuple):
    """What the caller gave, before anything was made of it.

    Attributes:
        component: name of the component; empty if the job itself was given.
        args: the component's arguments, words or values by name.
        cfg: options of the scheduler.
        workspace: local code that travels with the job.
    """

    component: str = ""
    args: Sequence[str] | Mapping[str, Any] = ()
    cfg: Mapping[str, Any] | None = None
    workspace: Workspace | str | None = None


class AppDryRunInfo(Generic[R]):
    """What would be submitted; ``str()`` of it is the text that works by hand.

    Attributes:
        request: the system's own request.
        app: the job it was made from.
        scheduler: the scheduler's name.
        options: that scheduler's options, resolved.
        app_id: the id it will have.
        request_id: what the id was made from.
        chosen_request_id: whether the caller gave the request id.
        notices: what the backend has no use for or rounds, one line each.
        origin: what the caller gave.
        is_new: False once it was sent and turned out to have been sent before.
    """

    def __init__(
        self,
        request: R,
        fmt: Callable[[R], str],
        *,
        app: AppDef,
        scheduler: str,
        options: Any,
        app_id: str,
        request_id: str,
        chosen_request_id: bool = False,
        notices: list[str] | None = None,
    ) -> None:
        self.request = request
        self._fmt = fmt
        self.app = app
        self.scheduler = scheduler
        self.options = options
        self.app_id = app_id
        self.request_id = request_id
        self.chosen_request_id = chosen_request_id
        self.notices = notices or []
        self.origin = Origin()
        self.is_new = True

    @property
    def cfg(self) -> Mapping[str, Any]:
        """The options as a mapping (TorchX's name)."""
        return dict(vars(self.options))

    @cached_property
    def spec_hash(self) -> str:
        """Hash of the AppDef and the options."""
        return spec_hash(self.app, vars(self.options))

    def __str__(self) -> str:
        return self._fmt(self.request)

    __repr__ = __str__
