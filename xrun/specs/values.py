"""Texts from a command line or a configuration file, read as the type that was asked for."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from xrun.errors import InvalidValue, shown

TRUE = frozenset({"true", "yes", "1", "on"})
FALSE = frozenset({"false", "no", "0", "off"})
_SCALARS = (str, int, float, bool)

_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*')(?=,|\Z)""", re.DOTALL)
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_./-]*)=")


def decode(text: str, hint: Any) -> Any:
    """A text as a value of type ``hint``.

    Scalars are what they look like; a bool is yes/no, true/false, on/off or 1/0. A list is ``a,b``, a dict
    ``k=v,k2=v2``; an element or a value may be quoted, and a part of a dict without ``key=`` belongs to the value
    before it. Lists and dicts are also read as JSON, the only way to write nested ones.

    Args:
        text: what was typed.
        hint: the type: str, int, float, bool, Path, an Enum, Literal, Optional, list, tuple, dict, and nests of those.

    Raises:
        InvalidValue: the text is not of that type; the message says what is.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return decode(text, args[0])
    if origin in (typing.Union, types.UnionType):
        return _decode_union(text, args)
    if origin is typing.Literal:
        return _decode_literal(text, args)
    if origin in (list, tuple, dict) or hint in (list, tuple, dict):
        return _decode_collection(text, origin or hint, args)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _decode_enum(text, hint)
    return _decode_scalar(text, hint)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value that is no text to decode, from TOML or from Python, is of type ``hint`` as it stands."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return fits(value, args[0])
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, a) for a in args)
    if origin is typing.Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if hint is Any or hint is None or hint is type(None):
        return hint is Any or value is None
    kind = origin or hint
    classes: Any = (int, float) if kind is float else kind
    if not isinstance(value, classes) or (isinstance(value, bool) and kind is not bool):
        return False
    return not args or _fit_inside(value, kind, args)


def _fit_inside(value: Any, kind: Any, args: tuple[Any, ...]) -> bool:
    if kind is dict:
        return all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())
    if kind is tuple and args[-1] is not ...:
        return len(value) == len(args) and all(map(fits, value, args))
    return all(fits(v, args[0]) for v in value)


def is_scalar(hint: Any) -> bool:
    """Whether a type is str, int, float, bool or pathlib.Path; pathlib is not imported: who names it has it."""
    return hint in _SCALARS or (
        isinstance(hint, type) and hint.__name__ == "Path" and hint.__module__.startswith("pathlib")
    )


def describe_type(hint: Any) -> str:
    """A type as a person would write it in help: ``int``, ``a|b``, ``str,...``, ``key=int,...``."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return describe_type(args[0])
    if origin in (typing.Union, types.UnionType):
        return "|".join(describe_type(a) for a in args if a is not type(None))
    if origin is typing.Literal:
        return "|".join(str(a) for a in args)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "|".join(e.name for e in hint)
    if origin is tuple and args and args[-1] is not ...:
        return ",".join(map(describe_type, args))
    if origin in (list, tuple) or hint in (list, tuple):
        return f"{describe_type(args[0]) if args else 'str'},..."
    if origin is dict or hint is dict:
        return f"key={describe_type(args[1]) if args else 'str'},..."
    return "path" if is_scalar(hint) and hint not in _SCALARS else getattr(hint, "__name__", str(hint))


def unsupported_reason(hint: Any) -> str:
    """Why `decode` can't read this type; empty if it can."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return unsupported_reason(args[0])
    if origin in (typing.Union, types.UnionType):
        reasons = [unsupported_reason(a) for a in args if a is not type(None)]
        return next(filter(None, reasons), "")
    if origin is typing.Literal:
        return "" if all(isinstance(a, (str, int, bool)) for a in args) else f"{hint} holds more than str, int and bool"
    if origin in (list, tuple, dict) or hint in (list, tuple, dict):
        if origin is dict and args and args[0] is not str:
            return f"{_name(hint)} has keys that are not str"
        return next(filter(None, (unsupported_reason(a) for a in args if a is not ...)), "")
    if is_scalar(hint) or (isinstance(hint, type) and issubclass(hint, Enum)):
        return ""
    readable = "str, int, float, bool, Path, Optional, Union with None, Literal, Enum, list, tuple or dict"
    return f"{_name(hint)} is not {readable}"


def _name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) and typing.get_origin(hint) is None else str(hint)


def _decode_union(text: str, args: tuple[Any, ...]) -> Any:
    kinds = [a for a in args if a is not type(None)]
    if len(kinds) < len(args) and (text == "None" or (text == "" and str not in kinds)):
        return None
    errors = []
    # str takes any text, so it is tried last
    for kind in sorted(kinds, key=lambda a: a is str):
        try:
            return decode(text, kind)
        except InvalidValue as error:
            errors.append(str(error))
    raise InvalidValue(errors[0] if len(errors) == 1 else " and ".join(errors))


def _decode_literal(text: str, args: tuple[Any, ...]) -> Any:
    for choice in args:
        if str(choice) == text or (isinstance(choice, bool) and text.strip().lower() in (TRUE if choice else FALSE)):
            return choice
    raise InvalidValue(f"{shown(text)} is not one of {', '.join(map(str, args))}")


def _decode_enum(text: str, hint: type[Enum]) -> Enum:
    for member in hint:
        if text in (member.name, str(member.value)):
            return member
    raise InvalidValue(f"{shown(text)} is not one of {', '.join(e.name for e in hint)}")


def _decode_scalar(text: str, hint: Any) -> Any:
    if hint is str or hint is Any:
        return text
    if hint is bool:
        word = text.strip().lower()
        if word in TRUE or word in FALSE:
            return word in TRUE
        raise InvalidValue(f"{shown(text)} is not a bool: yes, no, true, false, on, off, 1 or 0")
    if is_scalar(hint) and hint not in _SCALARS:
        return hint(text)
    if hint in (int, float):
        try:
            return hint(text.strip())
        except ValueError:
            raise InvalidValue(f"{shown(text)} is not {'a whole number' if hint is int else 'a number'}") from None
    raise InvalidValue(f"can't read {shown(text)} as {hint}")


def _decode_collection(text: str, kind: Any, args: tuple[Any, ...]) -> Any:
    plain = _json(text, Mapping if kind is dict else list)
    if kind is dict:
        pairs = plain if plain is not None else _split_pairs(text)
        hint = args[1] if args else str
        return {k: _element(v, hint, f"the value of {k!r}") for k, v in pairs.items()}
    words = plain if plain is not None else _split_words(text)
    if kind is tuple and args and args[-1] is not ...:
        if len(words) != len(args):
            raise InvalidValue(f"{shown(text)} has {len(words)} parts, {len(args)} are asked for")
        return tuple(_element(w, a, f"part {i + 1}") for i, (w, a) in enumerate(zip(words, args, strict=True)))
    hint = args[0] if args else str
    found = [_element(w, hint, f"element {i + 1}") for i, w in enumerate(words)]
    return tuple(found) if kind is tuple else found


def _element(value: Any, hint: Any, where: str) -> Any:
    try:
        if isinstance(value, str):
            return decode(value, hint)
        return _from_json(value, hint)
    except InvalidValue as error:
        raise InvalidValue(f"{where}: {error}") from None


def _from_json(value: Any, hint: Any) -> Any:
    """A value that JSON gave; what it holds is decoded by its own type."""
    import json

    if value is None:
        if fits(None, hint):
            return None
        raise InvalidValue(f"null is not {describe_type(hint)}")
    return decode(json.dumps(value), hint)


def _json(text: str, kind: Any) -> Any:
    if text[:1] not in ("{", "["):
        return None
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def _split_words(text: str) -> list[str]:
    """``a,"b,c",d`` -> ``a``, ``b,c``, ``d``; a quote means something only around a whole element."""
    if text == "":
        return []
    words, at = [], 0
    while True:
        word, at = _word(text, at)
        words.append(word)
        if at >= len(text):
            return words
        at += 1  # the comma
        if at == len(text):
            return words  # a trailing comma ends the list


def _split_pairs(text: str) -> dict[str, str]:
    """``A=1,B=x,y,C="p,q=r"`` -> A: ``1``, B: ``x,y``, C: ``p,q=r``."""
    pairs: dict[str, str] = {}
    at, key = 0, ""
    while at < len(text):
        m = _KEY.match(text, at)
        if m is None and not key:
            fix = "a key begins with a letter or _, and = follows it"
            raise InvalidValue(f"{shown(text)} is not key=value,...: there is no key= at {shown(text[at:])}; {fix}")
        if m is None:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            pairs[key] += "," + text[at:end]
            at = end + 1
            continue
        key = m[1]
        pairs[key], at = _word(text, m.end())
        at += 1
    return pairs


def _word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at ``at``, and where it ends (a comma or the end)."""
    m = _QUOTED.match(text, at)
    if m:
        inner = m[1][1:-1]
        return (re.sub(r"\\([\"\\])", r"\1", inner) if m[1][0] == '"' else inner), m.end()
    end = text.find(",", at)
    end = len(text) if end < 0 else end
    return text[at:end], end
