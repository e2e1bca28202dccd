"""Times and durations: as a person types them, and as they are shown."""

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


def span(seconds: float) -> str:
    """How long, in one word: ``0.4s``, ``45s``, ``3m05s``, ``2h10m``, ``8d4h``."""
    whole = int(max(0.0, seconds))
    if whole < 10:
        return f"{max(0.0, seconds):.1f}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"


def ago(when: float, now: float) -> str:
    """How long ago, in one short word for a column: ``45s``, ``12m``, ``3h``, ``8d``."""
    seconds = int(now - when)  # no loop over units: a list of thousands calls this twice a row
    if seconds >= 2 * 86400:
        return f"{seconds // 86400}d"
    if seconds >= 2 * 3600:
        return f"{seconds // 3600}h"
    if seconds >= 2 * 60:
        return f"{seconds // 60}m"
    return f"{max(seconds, 0)}s"


def moment(when: float, timespec: str = "seconds") -> str:
    """A time as ISO 8601 with the zone.

    Args:
        when: Unix time.
        timespec: the smallest unit, as for `datetime.isoformat`.
    """
    return datetime.fromtimestamp(when).astimezone().isoformat(timespec=timespec)
