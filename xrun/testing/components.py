"""A check for authors of components: everything that is wrong with one, in one assertion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from xrun.components.help import describe
from xrun.components.signature import check, parameters
from xrun.specs.app import AppDef
from xrun.specs.problems import Severity
from xrun.specs.validation import validate


def check_component(function: Callable[..., Any], *args: Any, **kwargs: Any) -> AppDef:
    """Asserts that a function can be used as a component, is documented, and makes a valid job.

    Args:
        function: the component.
        args: positional arguments to call it with.
        kwargs: named arguments to call it with.

    Returns:
        The job that it made, for assertions of your own.

    Raises:
        AssertionError: every finding.
    """
    findings = check(function)
    if not findings:
        findings += _documentation(function)
    app = None
    try:
        app = function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it raises is a finding
        findings.append(f"it raised {type(error).__name__}: {error}")
    else:
        findings += _job(app)
    if findings:
        name = getattr(function, "__qualname__", repr(function))
        raise AssertionError(f"{name} has {len(findings)} problems:\n" + "\n".join(f"- {f}" for f in findings))
    assert isinstance(app, AppDef)
    return app


def _documentation(function: Callable[..., Any]) -> Iterator[str]:
    doc = describe(function)
    if doc.error:
        yield f"its docstring is not in Google style: {doc.error}"
        return
    if not doc.short:
        yield "it has no docstring; the first line is shown by xrun builtins"
    names = [p.name for p in parameters(function)]
    for name in names:
        if not doc.parameters.get(name):
            yield f"parameter {name!r} is not explained under Args: in the docstring"
    for name in doc.parameters:
        if name not in names:
            yield f"the docstring explains {name!r}, which is no parameter"


def _job(app: object) -> Iterator[str]:
    if not isinstance(app, AppDef):
        yield f"it returned {app!r:.80}, not an AppDef"
        return
    for problem in validate(app):
        if problem.severity is Severity.ERROR:
            yield f"its job: {problem}"
