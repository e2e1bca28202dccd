"""The words after a component's name, read by its signature.

Options come first: ``--name value``, ``--name=value``, ``-n value`` and ``--n value`` for a name of one letter; ``_``
and ``-`` are the same. A value that looks like an option is written ``--name=--value``; a negative number needs no such
care. A bool is ``--flag``, ``--no-flag``, ``--flag=yes`` or ``--flag yes``. A list or dict may be given several times
and adds up; anything else only once. ``*args`` begins at the first word that is no option, or after ``--``, and is
taken as it is.

This is parsed by hand: click can't tell whether the word after a flag is its value, lets the last of two values win,
and takes an option's name for the value of the option before it.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xrun.errors import InvalidValue, UnknownName, UsageError
from xrun.specs.values import FALSE, TRUE, decode

if TYPE_CHECKING:
    from xrun.components.finder import Component
    from xrun.components.signature import Parameter

_OF_RUN = {
    "s",
    "scheduler",
    "cfg",
    "profile",
    "workspace",
    "request-id",
    "dryrun",
    "wait",
    "log",
    "detach",
    "json",
    "stdin",
}
_OPTION = re.compile(r"(--?)([^\W\d][\w-]*)(?:=(.*))?", re.DOTALL)


@dataclass
class CommandLine:
    """What the words say.

    Attributes:
        values: parameter name -> value, only of what was given.
        help: ``--help`` was among the options; reading stopped there.
    """

    values: dict[str, Any] = field(default_factory=dict)
    help: bool = False


def spelling(name: str) -> str:
    """A parameter's name as an option: ``--max-retries``, ``-j``."""
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"


def parse(component: Component, words: Sequence[str]) -> CommandLine:
    """Reads the words after a component's name.

    Args:
        component: whose options they are.
        words: as the shell gave them.

    Raises:
        UnknownName: there is no such option.
        InvalidValue: an option lacks its value, has one of the wrong type or is given twice.
        UsageError: a word that is no option, for a component without ``*args``.
    """
    return _Reader(component, list(words)).read()


def is_bool(hint: Any) -> bool:
    """Whether an option of this type is a flag: bool, or bool or None."""
    return _plain(hint) is bool


def decode_value(option: str, text: str, hint: Any) -> Any:
    """`xrun.specs.values.decode` with the option's name in the error.

    Raises:
        InvalidValue: the text is not of that type.
    """
    try:
        return decode(text, hint)
    except InvalidValue as error:
        raise InvalidValue(f"option {option}: {error}") from None


class _Reader:
    def __init__(self, component: Component, words: list[str]) -> None:
        self.component, self.words, self.at = component, words, 0
        self.line = CommandLine()
        self.variadic = next((p for p in component.parameters if p.variadic), None)
        self.options = {p.name: p for p in component.parameters if not p.variadic}
        self.aliases = {alias: p for p in self.options.values() for alias in _aliases(p.hint)}

    def read(self) -> CommandLine:
        while self.at < len(self.words):
            word = self.words[self.at]
            found = _OPTION.fullmatch(word)
            if found is None:
                self.take_rest(self.at + 1 if word == "--" else self.at)
                break
            self.at += 1
            if word == "--help":
                return CommandLine(self.line.values, help=True)
            self.take_option(found)
        return self.line

    def take_rest(self, start: int) -> None:
        rest = self.words[start:]
        if self.variadic:
            name, hint = self.variadic.name, self.variadic.hint
            self.line.values[name] = [decode_value(name, word, hint) for word in rest]
        elif rest:
            options = ", ".join(map(spelling, self.options)) or "none"
            message = f"{self.component.name} takes only options ({options}); {rest[0]!r} belongs to none"
            raise UsageError(message, code="XR036")

    def take_option(self, found: re.Match[str]) -> None:
        dashes, typed, text = found.groups()
        shown, name = dashes + typed, typed.replace("-", "_")
        parameter = self.options.get(name) if dashes == "--" or len(typed) == 1 else None
        parameter = parameter or self.aliases.get(shown)
        if parameter is not None and is_bool(parameter.hint):
            self.store(parameter, shown, self.flag_text(text))
        elif parameter is not None:
            self.store(parameter, shown, self.value_text(shown, parameter) if text is None else text)
        else:
            self.store_negated(shown, name, text)

    def flag_text(self, text: str | None) -> str:
        if text is None and self.at < len(self.words) and self.words[self.at].lower() in TRUE | FALSE:
            self.at += 1
            return self.words[self.at - 1]
        return "yes" if text is None else text

    def value_text(self, shown: str, parameter: Parameter) -> str:
        if self.at == len(self.words) or self.words[self.at] == "--":
            raise InvalidValue(f"option {shown} needs a value; write {shown} VALUE", code="XR036")
        text = self.words[self.at]
        if _OPTION.fullmatch(text) and not _is_number(text, parameter.hint):
            message = f"option {shown} needs a value; if {text!r} is meant, write {shown}={text}"
            raise InvalidValue(message, code="XR036")
        self.at += 1
        return text

    def store_negated(self, shown: str, name: str, text: str | None) -> None:
        parameter = self.options.get(name[3:]) if shown.startswith("--no") and name.startswith("no_") else None
        if parameter is None or not is_bool(parameter.hint):
            raise UnknownName("option", shown, map(spelling, self.options), self.hint(shown), code="XR076")
        if text is not None:
            message = f"option {shown} takes no value; write {spelling(parameter.name)}={text}"
            raise InvalidValue(message, code="XR036")
        self.store(parameter, shown, "no")

    def hint(self, shown: str) -> str:
        if shown.lstrip("-") in _OF_RUN:
            return f"options of xrun run stand before the component: xrun {shown} ... {self.component.name}"
        if shown[1] != "-" and len(shown) > 2 and shown[1] in self.options:
            return f"write {shown[:2]} {shown[2:]}"
        if self.variadic:
            return "arguments of the program itself go after --"
        return f"see xrun {self.component.name} --help"

    def store(self, parameter: Parameter, shown: str, text: str) -> None:
        value = decode_value(shown, text, parameter.hint)
        values, name = self.line.values, parameter.name
        if name not in values:
            values[name] = value
            return
        before = values[name]
        if not _adds_up(parameter.hint) or None in (before, value):
            message = f"option {shown} is given twice: {before!r} and {value!r}; keep one"
            raise InvalidValue(message, code="XR036")
        values[name] = {**before, **value} if isinstance(value, dict) else before + value


def _plain(hint: Any) -> Any:
    """A type without Annotated and without None."""
    if typing.get_origin(hint) is typing.Annotated:
        return _plain(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [a for a in typing.get_args(hint) if a is not type(None)]
        return _plain(kinds[0]) if len(kinds) == 1 else hint
    return hint


def _adds_up(hint: Any) -> bool:
    plain = _plain(hint)
    origin, args = typing.get_origin(plain) or plain, typing.get_args(plain)
    return origin in (list, dict) or (origin is tuple and (not args or args[-1] is ...))


def _is_number(text: str, hint: Any) -> bool:
    """Whether ``-inf`` or the like is a value here, not an option."""
    if _plain(hint) not in (int, float):
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _aliases(hint: Any) -> list[str]:
    """TorchX's ``Annotated[str, "-cn"]``: one more spelling."""
    if typing.get_origin(hint) is not typing.Annotated:
        return []
    return [a for a in typing.get_args(hint)[1:] if isinstance(a, str) and a.startswith("-")]
