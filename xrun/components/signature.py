"""What a component takes, read from its Python signature, and the call that turns values or texts into an AppDef.

Any annotated function that returns an AppDef is a component; nothing has to be registered or decorated.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from xrun.components import command_line
from xrun.errors import InvalidComponent, InvalidValue, UnknownName, UsageError, XrunError
from xrun.specs.app import AppDef
from xrun.specs.values import describe_type, fits, unsupported_reason

if TYPE_CHECKING:
    from xrun.components.finder import Component

EMPTY = inspect.Parameter.empty
"""The default of a parameter that has none, and the hint of one without a type."""

_VARIADIC = inspect.Parameter.VAR_POSITIONAL
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Parameter(NamedTuple):
    """One parameter of a component.

    Attributes:
        name: as in the signature.
        kind: as `inspect` names it; VAR_POSITIONAL is ``*args``.
        hint: the type, resolved; of ``*args`` the type of each word.
        default: the value if none is given; EMPTY if one must be.
        function: whose parameter it is.
    """

    name: str
    kind: inspect._ParameterKind
    hint: Any
    default: Any
    function: Callable[..., Any]

    @property
    def variadic(self) -> bool:
        """Whether this is ``*args``."""
        return self.kind is _VARIADIC

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is EMPTY and not self.variadic

    @property
    def help(self) -> str:
        """What the docstring says about it; the docstring is parsed on the first such question."""
        from xrun.components.help import describe

        return describe(self.function).parameters.get(self.name, "")


class _Signature(NamedTuple):
    parameters: tuple[Parameter, ...]
    by_name: Mapping[str, Parameter]
    by_position: tuple[Parameter, ...]
    variadic: Parameter | None
    problems: tuple[str, ...]


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """The parameters of a component in the order of its signature.

    Args:
        function: the component's function.
    """
    return list(_read(function).parameters)


def check(function: Callable[..., Any]) -> list[str]:
    """Every reason why a function can't be used as a component; empty if it can.

    Args:
        function: anything; what isn't a function is said so.
    """
    return list(_read(function).problems)


def bind(component: Component, args: Sequence[str] | Mapping[str, Any]) -> AppDef:
    """Calls a component.

    Args:
        component: as `finder.find` gives it.
        args: the words of a command line (see `command_line.parse`), or values by parameter name. A value that is a
            text is read as the parameter's type, ``*args`` is a list under its own name.

    Raises:
        InvalidComponent: the function can't be a component, or returned something else than an AppDef.
        UnknownName: there is no such parameter.
        InvalidValue: a value of the wrong type, or a required one is missing (all of them are named).
    """
    signature = _read(component.fn)
    if signature.problems:
        raise InvalidComponent(f"{component.name} can't be a component: {'; '.join(signature.problems)}")
    if isinstance(args, Mapping):
        values = {name: _value(component, signature, name, value) for name, value in args.items()}
    else:
        line = command_line.parse(component, args)
        if line.help:
            raise UsageError(f"--help asks for the help of {component.name}, not for a job")
        values = line.values
    missing = [p.name for p in signature.parameters if p.required and p.name not in values]
    if missing:
        named = " and ".join(map(command_line.spelling, missing))
        raise InvalidValue(f"{component.name} needs {named}; see xrun {component.name} --help", code="XR034")
    rest = values.pop(signature.variadic.name, ()) if signature.variadic else ()
    leading = [values.pop(p.name, p.default) for p in signature.by_position]
    try:
        app = component.fn(*leading, *rest, **values)
    except SystemExit as error:  # as argparse inside a component does
        raise InvalidComponent(
            f"{component.name} called exit({error.code!r}) instead of returning an AppDef", code="XR032"
        ) from error
    except (XrunError, ValueError):  # how a component says that an argument won't do
        raise
    except Exception as error:
        from xrun.components.loading import where

        raise InvalidComponent(f"{component.name} failed: {where(error, component.name)}", code="XR032") from error
    if not isinstance(app, AppDef):
        kind = type(app)
        raise InvalidComponent(
            f"{component.name} returned a {kind.__module__}.{kind.__qualname__}, not an AppDef of xrun.specs",
            code="XR032",
        )
    return app


def _value(component: Component, signature: _Signature, name: str, value: Any) -> Any:
    parameter = signature.by_name.get(name)
    if parameter is None:
        raise UnknownName("option", name, signature.by_name, f"see xrun {component.name} --help", code="XR076")
    hint = parameter.hint
    if parameter.variadic:
        if not isinstance(value, (list, tuple)):
            raise InvalidValue(f"option {name}: {value!r} is not a list of words")
        return [command_line.decode_value(name, v, hint) if type(v) is str else v for v in value]
    # not isinstance: a member of an Enum of texts is a value already
    if type(value) is str:
        return value if hint is str else command_line.decode_value(name, value, hint)
    if not fits(value, hint):
        raise InvalidValue(f"option {name}: {value!r:.80} is a {type(value).__name__}, not {describe_type(hint)}")
    return value


@lru_cache(maxsize=1024)
def _read(function: Callable[..., Any]) -> _Signature:
    if not inspect.isfunction(function):
        return _Signature((), {}, (), None, (f"{function!r:.80} is not a function",))
    hints, problems = _hints(function)
    found = []
    for p in inspect.signature(function).parameters.values():
        hint = hints.get(p.name, EMPTY)
        found.append(Parameter(p.name, p.kind, hint, p.default, function))
        problems += _problems(found[-1]) if p.name in hints or p.annotation is EMPTY else []
    problems += _return_problems(function, hints)
    return _Signature(
        tuple(found),
        {p.name: p for p in found},
        tuple(p for p in found if p.kind in _BY_POSITION),
        next((p for p in found if p.variadic), None),
        tuple(problems),
    )


def _hints(function: Callable[..., Any]) -> tuple[dict[str, Any], list[str]]:
    """The annotations, texts resolved one by one so that each that can't be is named."""
    hints: dict[str, Any] = {}
    problems = []
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    for name, annotation in getattr(function, "__annotations__", {}).items():
        one = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints[name] = typing.get_type_hints(one, scope, scope, include_extras=True)[name]
        except Exception as error:  # noqa: BLE001 - an annotation is any expression
            if name == "return" and isinstance(annotation, str):
                hints[name] = annotation
            else:
                problems.append(f"parameter {name!r}: its type {annotation!r} can't be resolved: {error}")
    return hints, problems


def _problems(parameter: Parameter) -> list[str]:
    name = parameter.name
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return [f"**{name}: name its options one by one"]
    if name == "help":
        return ["parameter 'help': --help shows the help; rename it"]
    if parameter.hint is EMPTY:
        return [f"parameter {name!r} has no type; write {name}: str"]
    reason = unsupported_reason(parameter.hint)
    return [f"parameter {name!r}: {reason}"] if reason else []


def _return_problems(function: Callable[..., Any], hints: Mapping[str, Any]) -> list[str]:
    if inspect.iscoroutinefunction(function):
        return ["it is async; a component only describes, so it has nothing to wait for"]
    returned = hints.get("return")
    # a name imported under TYPE_CHECKING can't be resolved; bind looks at what comes back
    if isinstance(returned, str) and returned.rpartition(".")[2] == "AppDef":
        return []
    if isinstance(returned, type) and issubclass(returned, AppDef):
        return []
    if "return" not in hints:
        return ["it doesn't say what it returns; write -> AppDef"]
    if isinstance(returned, type):
        returned = f"{returned.__module__}.{returned.__qualname__}"
    return [f"it returns {returned}, not an AppDef of xrun.specs"]
