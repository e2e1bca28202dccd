"""What a measurement is and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

COLUMNS = ("metric", "xrun", "floor", "torchx 0.7.0", "target", "met?")


@dataclass(frozen=True)
class Figure:
    """One number, and what to know beside it.

    Attributes:
        value: in the row's unit.
        aside: shown in brackets, such as the milliseconds behind a ratio.
        samples: what the value is the median of.
    """

    value: float
    aside: str = ""
    samples: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """A metric of xrun beside its floor and its peer.

    Attributes:
        metric: what is measured.
        unit: of all its numbers.
        xrun: our figure; None if it could not be had.
        floor: the least that any program would need.
        torchx: the peer's figure.
        target: what xrun's figure should not exceed; None where nothing is promised.
        at_least: the target is a least value instead.
        note: why a figure is missing, or what else was seen.
    """

    metric: str
    unit: str
    xrun: Figure | None = None
    floor: Figure | None = None
    torchx: Figure | None = None
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @classmethod
    def of(cls, metric: str, unit: str, figures: Mapping[str, Figure], target: float | None = None, **more: Any) -> Row:
        """A row of the figures named ``xrun``, ``floor`` and ``torchx``, as far as they are there."""
        xrun, floor, torchx = (figures.get(name) for name in ("xrun", "floor", "torchx"))
        return cls(metric, unit, xrun, floor, torchx, target, **more)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if there is none, or no figure."""
        if self.target is None or self.xrun is None:
            return None
        return self.xrun.value >= self.target if self.at_least else self.xrun.value <= self.target

    def cells(self) -> list[str]:
        """The row as texts, one for each column."""
        target = "-"
        if self.target is not None:
            target = f"{'>=' if self.at_least else '<='} {_number(self.target)} {self.unit}"
        figures = [self._shown(f) for f in (self.xrun, self.floor, self.torchx)]
        return [self.metric, *figures, target, {True: "yes", False: "NO", None: "-"}[self.met]]

    def _shown(self, figure: Figure | None) -> str:
        if figure is None:
            return "-"
        return f"{_number(figure.value)} {self.unit}" + (f" ({figure.aside})" if figure.aside else "")


@dataclass
class Report:
    """All rows of a run, and where they were measured."""

    about: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def table(self) -> str:
        """The rows as a table of a Markdown text, which a terminal shows well too."""
        cells = [list(COLUMNS), *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
        lines = [_line(line, widths) for line in cells]
        lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
        notes = [f"{row.metric}: {row.note}" for row in self.rows if row.note]
        return "\n".join([*lines, *([""] if notes else []), *notes])

    def to_json(self) -> str:
        """Everything, every sample too."""
        rows = [asdict(row) | {"met": row.met} for row in self.rows]
        return json.dumps({"version": 1, "about": self.about, "rows": rows}, indent=1)


def milliseconds(seconds: float) -> str:
    """A time beside a ratio."""
    return f"{seconds * 1000:.0f} ms"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
