"""Pictures of numbers over time, drawn by the server as SVG: no script, sharp at every width, and a table for who can't see them.

A chart is stretched to its card; its scale and its times are text beside it (templates/parts/chart.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

WIDTH, HEIGHT = 1000.0, 100.0
GAP = 0.2
"""Of a bar's width, left free beside it."""


@dataclass(frozen=True)
class Series:
    """One row of numbers; None is a gap."""

    label: str
    colour: str
    values: Sequence[float | None]
    line: bool = False
    """Drawn as a line; else as bars, which stand on those of the series before."""


@dataclass(frozen=True)
class Bar:
    """A rectangle with what it means."""

    x: float
    y: float
    width: float
    height: float
    said: str


@dataclass(frozen=True)
class RenderedSeries:
    """One series, ready to be drawn."""

    label: str
    colour: str
    total: float | None
    bars: list[Bar] = field(default_factory=list)
    path: str = ""
    area: str = ""


@dataclass(frozen=True)
class Chart:
    """A picture of series over the same moments."""

    title: str
    moments: Sequence[datetime]
    series: Sequence[Series]
    description: str = ""
    day: bool = False
    """Its span is days: the times beside it are dates."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for one in self.series for value in one.values)

    @property
    def top(self) -> float:
        """A round number that nothing exceeds. At least 2 for bars: there is no half of what they count."""
        bars = [one.values for one in self.series if not one.line]
        stacked = [sum(value or 0 for value in column) for column in zip(*bars, strict=True)] if bars else []
        lines = [value or 0 for one in self.series if one.line for value in one.values]
        return _round_up(max([*stacked, *lines, 2 if bars else 1]))

    @property
    def half(self) -> float:
        """The middle of the scale."""
        return self.top / 2 if self.top > 1 else 0.5

    @property
    def drawn(self) -> list[RenderedSeries]:
        """All series, bars on top of each other."""
        below = [0.0] * len(self.moments)
        return [self._line(one) if one.line else self._bars(one, below) for one in self.series]

    @property
    def rows(self) -> list[tuple[datetime, list[float | None]]]:
        """The same as a table, latest first, at most 200 rows."""
        step = max(1, math.ceil(len(self.moments) / 200))
        columns = [one.values for one in self.series]
        table = [(moment, [values[place] for values in columns]) for place, moment in enumerate(self.moments)]
        return table[::-step]

    def _bars(self, one: Series, below: list[float]) -> RenderedSeries:
        wide, bars = WIDTH / max(1, len(self.moments)), []
        for place, value in enumerate(one.values):
            if value:
                height = value / self.top * HEIGHT
                below[place] += height
                said = f"{value:,.0f} {one.label}"
                bars.append(_bar(place * wide + wide * GAP / 2, HEIGHT - below[place], wide * (1 - GAP), height, said))
        return RenderedSeries(one.label, one.colour, sum(value or 0 for value in one.values), bars)

    def _line(self, one: Series) -> RenderedSeries:
        wide, path, pen = WIDTH / max(1, len(self.moments) - 1), [], "M"
        points = [(place * wide, HEIGHT - value / self.top * HEIGHT) for place, value in _known(one.values)]
        for x, y in points:
            path.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        area = f"{''.join(path)}L{points[-1][0]:.1f} {HEIGHT}L{points[0][0]:.1f} {HEIGHT}Z" if points else ""
        return RenderedSeries(one.label, one.colour, None, path="".join(path), area=area)


def _bar(x: float, y: float, width: float, height: float, said: str) -> Bar:
    return Bar(round(x, 2), round(y, 2), round(width, 2), round(height, 2), said)


def _known(values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(place, value) for place, value in enumerate(values) if value is not None]


def _round_up(value: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value)
