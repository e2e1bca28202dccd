"""One entry of a file, read as the type that its reader asks for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from xrun.errors import InvalidConfig, InvalidValue, shown
from xrun.runner.config.files import ConfigFile
from xrun.runner.config.tables import WRONG_TYPE
from xrun.specs.values import decode, describe_type, fits

UNSET = "XR063"


class Entry(NamedTuple):
    """A value as it stands in a file.

    Attributes:
        value: what TOML gives.
        file: the file.
        at: the keys that lead to it.
    """

    value: Any
    file: ConfigFile
    at: tuple[str, ...]

    @property
    def is_reference(self) -> bool:
        """Whether the value is to be had from the environment."""
        return isinstance(self.value, dict) and is_reference(self.value)

    def error(self, message: str, code: str = WRONG_TYPE) -> InvalidConfig:
        """The error that names the entry's file and line."""
        return self.file.error(self.at, message, code)

    def read(self, hint: Any) -> Any:
        """The value as type ``hint``; references to the environment are followed.

        Raises:
            InvalidConfig: it is of another type, or a variable is not set.
        """
        value = self.resolved()
        name = self.at[-1]
        if isinstance(value, str):
            return self.check(lambda: decode(value, hint))
        if not fits(value, hint):
            raise self.error(f"{name} is {shown(value)}, not {describe_type(hint)}")
        return float(value) if hint is float else value

    def resolved(self) -> Any:
        """The value with each ``{env = "NAME"}`` in it replaced.

        Raises:
            InvalidConfig: a variable is not set, and there is no default.
        """
        return self._resolve(self.value)

    def check(self, read: Callable[[], Any]) -> Any:
        """What ``read`` gives, its `InvalidValue` with the file and line of this entry."""
        try:
            return read()
        except InvalidValue as error:
            name, text = self.at[-1], str(error).removeprefix("option ")
            raise self.error(text if name in text else f"{name}: {text}") from error

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolve(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if not is_reference(value):
            return {key: self._resolve(inner) for key, inner in value.items()}
        found = os.environ.get(value["env"])
        if found is not None:
            return found
        if "default" in value:
            return value["default"]
        raise self.error(f"{self.at[-1]}: the environment variable {value['env']} is not set", UNSET)


def is_reference(value: Mapping[str, Any]) -> bool:
    """Whether a table is ``{env = "NAME"}``, perhaps with a default."""
    return isinstance(value.get("env"), str) and value.keys() <= {"env", "default"}
