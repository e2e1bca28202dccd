"""Shapes of ``--json`` answers about what is installed here and about jobs that nobody submitted; see `answers`."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class BrokenAnswer(TypedDict):
    """A plugin that can't be used.

    Attributes:
        name: its name.
        reason: why, in one line.
    """

    name: str
    reason: str


class BuiltinAnswer(TypedDict):
    """A component that has a name.

    Attributes:
        name: what to type.
        summary: the first line of its docstring.
    """

    name: str
    summary: str


class BuiltinsAnswer(TypedDict):
    """Answer of ``builtins``, by name.

    Attributes:
        version: of this shape.
        components: those that can be run.
        broken: plugins of components that can't be loaded.
    """

    version: Literal[1]
    components: list[BuiltinAnswer]
    broken: list[BrokenAnswer]


class ProblemAnswer(TypedDict):
    """One thing that is wrong with a job.

    Attributes:
        severity: an error refuses the job; with a warning it runs.
        code: stable; ``xrun explain`` knows it.
        path: the field, as in ``roles[0].env.PATH``.
        message: what is wrong, with the value given.
        fix: what to do.
    """

    severity: Literal["error", "warning"]
    code: str
    path: str
    message: str
    fix: str


class CheckedAnswer(TypedDict):
    """What one scheduler makes of a job.

    Attributes:
        scheduler: its name.
        ok: whether there is no error.
        asked_system: whether the system behind it was asked too.
        problems: errors and warnings.
    """

    scheduler: str
    ok: bool
    asked_system: bool
    problems: list[ProblemAnswer]


class CheckAnswer(TypedDict):
    """Answer of ``check``.

    Attributes:
        version: of this shape.
        ok: whether no scheduler finds an error.
        checks: by scheduler, in the order asked for.
    """

    version: Literal[1]
    ok: bool
    checks: list[CheckedAnswer]


class FindingAnswer(TypedDict):
    """One thing that ``doctor`` looked at.

    Attributes:
        section: what it belongs to.
        subject: what it is.
        verdict: missing is what is not there and not used.
        detail: what was found, or what is wrong.
        fix: what mends it, a command where there is one; else empty.
        used: whether what is used here hangs on it.
        unreachable: whether it is a system that did not answer.
    """

    section: str
    subject: str
    verdict: Literal["ok", "missing", "broken"]
    detail: str
    fix: str
    used: bool
    unreachable: bool


class DoctorAnswer(TypedDict):
    """Answer of ``doctor``.

    Attributes:
        version: of this shape.
        ok: whether all that is used works.
        used: the schedulers that are used.
        findings: by section.
    """

    version: Literal[1]
    ok: bool
    used: list[str]
    findings: list[FindingAnswer]


class OptionAnswer(TypedDict):
    """One option of a scheduler.

    Attributes:
        name: what -cfg and xrun.toml call it.
        type: as a person writes it.
        default: its value unless set; null for none.
        required: whether it must be set.
        common: whether every scheduler has it.
        help: what it does.
    """

    name: str
    type: str
    default: Any
    required: bool
    common: bool
    help: str


class SchedulerAnswer(TypedDict):
    """The options of one scheduler.

    Attributes:
        scheduler: its name.
        options: in the order of their definition.
    """

    scheduler: str
    options: list[OptionAnswer]


class RunoptsAnswer(TypedDict):
    """Answer of ``runopts``.

    Attributes:
        version: of this shape.
        schedulers: those asked for.
        broken: plugins of schedulers that can't be used.
    """

    version: Literal[1]
    schedulers: list[SchedulerAnswer]
    broken: list[BrokenAnswer]
