"""What ``--json`` answers, a class a shape; ``xrun/schemas`` holds them as JSON Schema, and tests hold verbs to it.

Every answer is one object with ``version``. It grows by new keys, so the files let keys pass that they don't know; a
key that changes its meaning raises the version. Times are Unix seconds, 0 for none.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from xrun.cli.answers_here import BuiltinsAnswer, CheckAnswer, DoctorAnswer, RunoptsAnswer
from xrun.specs.app import AppDef

StateName = Literal["UNSUBMITTED", "SUBMITTED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "UNKNOWN"]


class ReplicaAnswer(TypedDict):
    """One replica.

    Attributes:
        id: its number in the role, from 0.
        state: where it is.
        role: its role's name.
        hostname: where it runs; empty if not known.
        structured_error_msg: what it wrote to XRUN_ERROR_FILE, or <NONE>.
        attempt: 0 for the first start.
        exit_code: of its last attempt; null while it runs or if a signal ended it.
        signal: name of the signal that ended it, as in SIGKILL; else empty.
        error: its last error in one line.
        native_id: the system's own name for it.
        started: time of the last start.
        ended: time of the last end.
        endpoints: where published ports can be reached from outside, by the port's name: host:port.
    """

    id: int
    state: StateName
    role: str
    hostname: str
    structured_error_msg: str
    attempt: int
    exit_code: int | None
    signal: str
    error: str
    native_id: str
    started: float
    ended: float
    endpoints: dict[str, str]


class RoleAnswer(TypedDict):
    """The replicas of one role.

    Attributes:
        role: its name.
        replicas: by number.
    """

    role: str
    replicas: list[ReplicaAnswer]


class StatusAnswer(TypedDict):
    """Answer of ``status``, ``wait`` and of an attached ``run``.

    Attributes:
        version: of this shape.
        handle: the job.
        state: where it is.
        num_restarts: restarts so far, over all roles.
        msg: why it is where it is, in one line.
        structured_error_msg: the error file of the replica that failed the job, or <NONE>.
        ui_url: a page about it, if the system has one.
        native_id: the system's own number; empty if it has none.
        submitted: when it was submitted.
        ended: when it ended.
        roles: its roles.
    """

    version: Literal[1]
    handle: str
    state: StateName
    num_restarts: int
    msg: str
    structured_error_msg: str
    ui_url: str | None
    native_id: str
    submitted: float
    ended: float
    roles: list[RoleAnswer]


class SubmittedAnswer(TypedDict):
    """Answer of a ``run`` that doesn't stay.

    Attributes:
        version: of this shape.
        handle: the job.
    """

    version: Literal[1]
    handle: str


class CancelAnswer(TypedDict):
    """Answer of ``cancel``.

    Attributes:
        version: of this shape.
        handle: the job.
        state: where it is now; null if it was deleted meanwhile.
        had_ended: whether it had ended before, so that nothing was done.
    """

    version: Literal[1]
    handle: str
    state: StateName | None
    had_ended: bool


class DeleteAnswer(TypedDict):
    """Answer of ``delete``.

    Attributes:
        version: of this shape.
        handle: the job.
        deleted: always true; a job that is not there is an error.
    """

    version: Literal[1]
    handle: str
    deleted: Literal[True]


class DescribeAnswer(TypedDict):
    """Answer of ``describe``: a job as it was submitted. What the system does not keep is empty.

    Attributes:
        version: of this shape.
        handle: the job.
        state: where it is.
        user: who submitted it.
        submitted: when it was submitted.
        request_id: what its id was made from.
        spec_hash: hash of the job and the options.
        options: the scheduler's options, by name.
        app: the whole job, secrets as references; null if the system does not keep it.
    """

    version: Literal[1]
    handle: str
    state: StateName
    user: str
    submitted: float
    request_id: str
    spec_hash: str
    options: dict[str, Any]
    app: AppDef | None


class DryRunAnswer(TypedDict):
    """Answer of ``run --dryrun`` and of ``render``.

    Attributes:
        version: of this shape.
        app_id: the id that the job would have.
        request: the text of the request.
    """

    version: Literal[1]
    app_id: str
    request: str


class ExplanationAnswer(TypedDict):
    """One code.

    Attributes:
        code: as in XR012.
        title: what it means, in a few words.
        exit: what xrun exits with; 0 for a warning.
        cause: what is wrong and why there is such a rule, in Markdown.
        kind: what the example is; a message is only shown, the others can be run.
        example: a program or commands that get this code, or the message as it was seen.
        says: part of what xrun prints then.
        fix: what to do, in Markdown.
        mended: the example without the fault; empty if it can't be shown that way.
        lacks: the capability that a scheduler must lack for the example to be refused; empty for any scheduler.
    """

    code: str
    title: str
    exit: int
    cause: str
    kind: Literal["python", "shell", "message"]
    example: str
    says: str
    fix: str
    mended: str
    lacks: str


class ExplainAnswer(TypedDict):
    """Answer of ``explain``, in the order asked for; without a question, of every code.

    Attributes:
        version: of this shape.
        codes: what is known of each.
    """

    version: Literal[1]
    codes: list[ExplanationAnswer]


class ListedAnswer(TypedDict):
    """One job of a list.

    Attributes:
        handle: the job.
        name: the app's name.
        state: where it is.
        user: who submitted it.
        submitted: when it was submitted.
        ended: when it ended.
        component: the component it was made by; empty if none or not known.
        current: false if its system can't be asked now, so that the state is the last one known.
    """

    handle: str
    name: str
    state: StateName
    user: str
    submitted: float
    ended: float
    component: str
    current: bool


class ListAnswer(TypedDict):
    """Answer of ``list``, the newest job first.

    Attributes:
        version: of this shape.
        apps: the jobs.
    """

    version: Literal[1]
    apps: list[ListedAnswer]


ANSWERS: dict[str, type] = {
    "builtins": BuiltinsAnswer,
    "cancel": CancelAnswer,
    "check": CheckAnswer,
    "delete": DeleteAnswer,
    "describe": DescribeAnswer,
    "doctor": DoctorAnswer,
    "dryrun": DryRunAnswer,
    "explain": ExplainAnswer,
    "list": ListAnswer,
    "runopts": RunoptsAnswer,
    "status": StatusAnswer,
    "submitted": SubmittedAnswer,
}
"""name of the schema file -> shape."""
