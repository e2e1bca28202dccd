"""Every error that xrun raises on purpose, in one tree.

::

    XrunError                  exit code
    ├── UsageError             2  XR070  what was asked for makes no sense as written
    │   ├── UnknownName        2  XR071  no such component, scheduler, option, resource ...
    │   ├── MalformedHandle    2  XR072  not scheduler://session/app_id
    │   ├── InvalidValue       2  XR073  a text that is not of the type asked for
    │   ├── InvalidComponent   2  XR074  the function can't be used as a component
    │   └── InvalidConfig      2  XR060  a configuration file is wrong; names the file and the line
    ├── InvalidJob             3  --     the job was read and is wrong (all problems at once, each with its own code)
    │   ├── Unsupported        3  --     right, but not on this scheduler
    │   └── RequestConflict    3  XR080  this request id was used for another job
    ├── BackendError           4  XR090  the system refused
    ├── JobNotFound            5  XR081
    ├── WaitTimeout            6  XR082  also a TimeoutError
    ├── JobFailed              1  XR083  raised by AppStatus.raise_for_status()
    │   └── JobCancelled       7  XR084
    └── BackendUnavailable     8  XR091  can't be reached; trying again may help

The command line prints an XrunError as one line and exits with its class's ``exit_code``. Anything else is a bug: it
keeps its traceback and exits 70. The codes are stable; ``xrun explain CODE`` says more. Where a class of errors has
several causes that are mended in different ways, the place that raises one gives it a code of its own. All codes, with
cause, example and fix, are in ``xrun/cli/explanations.toml``; a test holds that file to the codes in the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from xrun.specs.problems import Problem
    from xrun.specs.status import AppStatus


class XrunError(Exception):
    """Root of the tree above.

    Args:
        message: what was given, what is allowed, what to do.
        code: the cause's own code (default: the class's).

    Attributes:
        exit_code: what the command line exits with.
        code: what `xrun explain` knows the cause by; empty where each of several problems has its own.
    """

    exit_code: ClassVar[int] = 1
    code: str = ""

    def __init__(self, message: str = "", code: str = "") -> None:
        super().__init__(message)
        if code:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle would call __init__ with the message alone; an error must survive the way out of a worker process
        import copyreg

        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class UsageError(XrunError):
    """What was asked for makes no sense as written."""

    exit_code = 2
    code = "XR070"


class UnknownName(UsageError):
    """A name that nothing answers to.

    Args:
        kind: what was looked for, as in ``"component"``.
        name: the name given.
        known: the names that exist; the near misses among them are shown.
        hint: what to do instead, if the caller knows better than a list of names.
        code: what `xrun explain` knows this kind of name by (default: XR071, components).
    """

    code = "XR071"

    def __init__(self, kind: str, name: str, known: Iterable[str] = (), hint: str = "", *, code: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(n for n in known if n != name)
        near = suggestion(name, self.known)
        super().__init__(f"unknown {kind} {name!r}{near}{'; ' + hint if hint else ''}", code=code)


class MalformedHandle(UsageError):
    """A text that is not ``scheduler://session/app_id[/role[/replica,...]]``."""

    code = "XR072"


class InvalidValue(UsageError):
    """A text that can't be read as the type asked for."""

    code = "XR073"


class InvalidComponent(UsageError):
    """A function that can't be used as a component; the message lists every reason."""

    code = "XR074"


class InvalidConfig(UsageError):
    """A configuration file that is not TOML, or an entry in it that is wrong; the message begins with file and line."""

    code = "XR060"


class InvalidJob(XrunError):
    """The AppDef is wrong.

    Args:
        problems: everything found, each with its code, field path and fix.
        subject: what was checked, for the first words of the message.
    """

    exit_code = 3

    def __init__(self, problems: Sequence[Problem], subject: str = "job") -> None:
        self.problems = list(problems)
        count = f"{len(self.problems)} problems" if len(self.problems) > 1 else "a problem"
        super().__init__(f"the {subject} has {count}: " + "; ".join(str(p) for p in self.problems))


class Unsupported(InvalidJob):
    """The job is right but asks for what this scheduler can't do."""


class RequestConflict(InvalidJob):
    """A request id that already stands for another job."""

    code = "XR080"

    def __init__(self, request_id: str, handle: str, fields: Sequence[str]) -> None:
        self.request_id, self.handle, self.fields = request_id, handle, list(fields)
        self.problems = []
        XrunError.__init__(
            self,
            f"request id {request_id!r} already stands for {handle}, which differs in: "
            f"{', '.join(self.fields) or 'its options'}; use another --request-id",
        )


class BackendError(XrunError):
    """The system behind a scheduler refused."""

    exit_code = 4
    code = "XR090"


class JobNotFound(XrunError):
    """No such job."""

    exit_code = 5
    code = "XR081"

    def __init__(self, handle: str, hint: str = "") -> None:
        self.handle = handle
        super().__init__(f"no such job: {handle}; {hint or 'see xrun list -s ' + handle.partition(':')[0]}")


class WaitTimeout(XrunError, TimeoutError):
    """A wait that ran out; the job goes on."""

    exit_code = 6
    code = "XR082"

    def __new__(cls, message: str = "", code: str = "") -> Self:  # noqa: ARG004 - that of __init__
        """An OSError that leaves its arguments to __init__, as it does without this, can't be pickled as ours are."""
        return super().__new__(cls, message)


class JobFailed(XrunError):
    """The job ended and did not succeed.

    Args:
        status: how it ended.
    """

    code = "XR083"

    def __init__(self, status: AppStatus) -> None:
        self.status = status
        super().__init__(f"the job ended {status.state.name}{': ' + status.msg if status.msg else ''}")


class JobCancelled(JobFailed):
    """The job was cancelled."""

    exit_code = 7
    code = "XR084"


class BackendUnavailable(XrunError):
    """The system behind a scheduler can't be reached."""

    exit_code = 8
    code = "XR091"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: near misses, else the names there are, else nothing."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    if 0 < len(names) <= 12:
        return f"; there are: {', '.join(names)}"
    return ""


def shown(value: object, limit: int = 60) -> str:
    """A value as a message shows it: its repr, cut at ``limit`` characters; whatever the value is, this never fails."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may fail in any way, and that of a huge int does
        return f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def describe_os_error(error: OSError, doing: str, remedies: Mapping[int, str] | None = None) -> str:
    """One line for an OSError: what was being done, to which path, why it failed and what to do."""
    path = f" {error.filename}" if error.filename else ""
    remedy = (remedies or {}).get(error.errno or 0, "")
    return f"can't {doing}{path}: {error.strerror or error}{'; ' + remedy if remedy else ''}"
