"""Options of a scheduler: one frozen dataclass gives name, type, default and help, and everything else reads that."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

from xrun.errors import InvalidValue, UnknownName, shown
from xrun.specs.values import decode, describe_type, fits

CfgVal = Any
"""A value of an option (TorchX's name)."""

T = TypeVar("T")

_LONGEST = 10**9  # 31 years; timers overflow somewhere above


def option(default: Any = MISSING, *, help: str) -> Any:  # noqa: A002 - the word a reader looks for
    """A field of an options dataclass.

    Args:
        default: its default; without one the option is required.
        help: one line for ``xrun runopts``.
    """
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class CommonOptions:
    """Options that every scheduler has."""

    max_runtime: float = option(0.0, help="seconds after which the app is stopped and FAILED; 0 for no limit")
    grace_period: float = option(30.0, help="seconds between SIGTERM and SIGKILL when replicas are stopped")
    image: str = option("", help="container image of roles that name none")
    inherit_env: bool = option(
        True, help="give replicas the launcher's environment, where the scheduler can (local, slurm)"
    )

    def __post_init__(self) -> None:
        for name, seconds in (("max_runtime", self.max_runtime), ("grace_period", self.grace_period)):
            if not 0 <= seconds <= _LONGEST:
                raise InvalidValue(f"option {name}: {seconds} is not a number of seconds, 0 to {_LONGEST}")
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidValue(f"option {name}: {value} is no number to count with")


class runopt(NamedTuple):  # noqa: N801 - TorchX's name
    """One option: its type, default, whether it is required, and its help."""

    name: str
    type_: Any
    default: Any
    is_required: bool
    help: str

    @property
    def type_name(self) -> str:
        """The type as help shows it."""
        return describe_type(self.type_)


class runopts:  # noqa: N801 - TorchX's name
    """The options of one scheduler, by name, in the order of their definition."""

    def __init__(self, options_type: type) -> None:
        hints = typing.get_type_hints(options_type)
        self.options_type = options_type
        self._options = {f.name: _runopt(f, hints[f.name]) for f in fields(options_type)}

    def __iter__(self) -> Iterator[tuple[str, runopt]]:
        return iter(self._options.items())

    def __len__(self) -> int:
        return len(self._options)

    def get(self, name: str) -> runopt | None:
        """The option of that name."""
        return self._options.get(name)

    def cfg_from_str(self, text: str) -> dict[str, CfgVal]:
        """Options from ``k=v,k2=v2``.

        Raises:
            InvalidValue: not of that form.
        """
        return dict(decode(text, dict[str, str])) if text else {}

    def resolve(self, cfg: Mapping[str, CfgVal]) -> Any:
        """The options dataclass with ``cfg``'s values, texts read by type.

        Raises:
            UnknownName: a key that is no option.
            InvalidValue: a value of the wrong type, or a required option without one.
        """
        for key in cfg:
            if key not in self._options:
                raise UnknownName("option", key, self._options, code="XR077")
        missing = [o.name for o in self._options.values() if o.is_required and o.name not in cfg]
        if missing:
            message = f"required option {', '.join(missing)} is not set; give it with -cfg {missing[0]}=VALUE"
            raise InvalidValue(message, code="XR034")
        return self.options_type(**{key: self._value(key, value) for key, value in cfg.items()})

    def check(self, values: Mapping[str, CfgVal]) -> None:
        """Whether the dataclass takes some values; with a required option missing that can't be known.

        Raises:
            InvalidValue: it doesn't.
        """
        if not any(o.is_required and o.name not in values for o in self._options.values()):
            self.options_type(**values)

    def _value(self, key: str, value: CfgVal) -> Any:
        hint = self._options[key].type_
        if isinstance(value, str):
            try:
                return decode(value, hint)
            except InvalidValue as error:
                raise InvalidValue(f"option {key}: {error}") from None
        if not fits(value, hint):
            raise InvalidValue(f"option {key}: {shown(value)} is not {describe_type(hint)}")
        return float(value) if hint is float else value


def _runopt(f: Field[Any], hint: Any) -> runopt:
    default = f.default if f.default is not MISSING else None
    if f.default_factory is not MISSING:
        default = f.default_factory()
    required = f.default is MISSING and f.default_factory is MISSING
    return runopt(f.name, hint, default, required, str(f.metadata.get("help", "")))
