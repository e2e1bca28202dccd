"""One submission as data: what ``run --stdin`` reads, for programs in any language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from xrun.errors import InvalidValue, UsageError
from xrun.specs.app import AppDef
from xrun.specs.serialize import from_plain


@dataclass(frozen=True)
class Job:
    """What to run and where: a component with its arguments, or a whole job.

    Attributes:
        version: of this shape.
        component: its name, as on the command line; not together with app.
        args: the component's arguments by name.
        words: the component's arguments as on the command line; not together with args.
        app: a whole job instead of a component.
        scheduler: where to run (default: as configured).
        profile: the profile, which is the session of the handle (default: as configured).
        cfg: the scheduler's options.
        workspace: local code that travels with the job (default: as configured; "" for none).
        request_id: the same id and the same job give the old handle instead of a second job.
    """

    version: Literal[1] = 1
    component: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    app: AppDef | None = None
    scheduler: str | None = None
    profile: str | None = None
    cfg: dict[str, Any] = field(default_factory=dict)
    workspace: str | None = None
    request_id: str | None = None


def read_job(text: str) -> Job:
    """The job in a JSON text.

    Raises:
        InvalidValue: it is not JSON, or an entry is unknown or of the wrong type.
        UsageError: entries that don't go together.
    """
    import json

    try:
        data = json.loads(text)
    except RecursionError as error:
        raise InvalidValue("job is nested too deeply", code="XR038") from error
    except ValueError as error:
        raise InvalidValue(f"job is not JSON: {error}", code="XR038") from error
    job = from_plain(Job, data, "job")
    if (job.component is None) == (job.app is None):
        raise UsageError("job needs component or app, one of them", code="XR038")
    if job.args and job.words:
        raise UsageError("job has args and words; give the component's arguments in one way", code="XR038")
    if job.app is not None and (job.args or job.words):
        raise UsageError("job has an app, which takes no arguments; they belong to a component", code="XR038")
    if job.request_id == "":
        raise UsageError("job.request_id is empty; is the variable that it comes from set?", code="XR038")
    return job
