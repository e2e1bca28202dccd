"""Times and durations as a person types them."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")


class Moment(click.ParamType[float]):
    """``10m`` (ago), an ISO time, or Unix seconds; becomes Unix seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads one."""
        text = str(value)
        m = _DURATION.fullmatch(text)
        if m and m[2]:
            return time.time() - float(m[1]) * _UNITS[m[2]]
        if m:
            return float(text)
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            self.fail(f"{text!r} is no time: 10m, 2026-05-01T12:00 or Unix seconds", param, ctx)


class Seconds(click.ParamType[float]):
    """``90``, ``90s``, ``10m``, ``2h``; becomes seconds."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads one."""
        m = _DURATION.fullmatch(str(value))
        if not m:
            self.fail(f"{str(value)!r} is no duration: 90, 90s, 10m or 2h", param, ctx)
        return float(m[1]) * _UNITS[m[2] or "s"]
