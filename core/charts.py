"""Charts of numbers over time, drawn by the server as SVG: no script, sharp at every width, with a table for screen readers.

A chart is stretched to its card; its scale and its times are text beside it (templates/parts/chart.html).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

WIDTH, HEIGHT = 1000.0, 100.0
BAR_GAP = 0.2
"""Share of a bar's width that stays free beside it."""
MAX_TABLE_ROWS = 200


@dataclass(frozen=True)
class Series:
    """One row of numbers; None is a gap."""

    label: str
    colour: str
    values: Sequence[float | None]
    line: bool = False
    """Drawn as a line; else as bars, stacked on those of the series before."""


@dataclass(frozen=True)
class Bar:
    """A rectangle and its tooltip."""

    x: float
    y: float
    width: float
    height: float
    tooltip: str


@dataclass(frozen=True)
class RenderedSeries:
    """The shapes of a series."""

    label: str
    colour: str
    total: float | None
    bars: list[Bar] = field(default_factory=list)
    path: str = ""
    area: str = ""


@dataclass(frozen=True)
class Chart:
    """Series over the same times."""

    title: str
    moments: Sequence[datetime]
    series: Sequence[Series]
    description: str = ""
    day: bool = False
    """It spans days: the times beside it are dates."""
    totals: bool = True
    """Its bars count things, so that they have a sum."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)

    @property
    def top(self) -> float:
        """The end of the scale, a round number. At least 2 for bars, as they count whole things."""
        bars = [series.values for series in self.series if not series.line]
        stacked = [sum(value or 0 for value in column) for column in zip(*bars, strict=True)] if bars else []
        lines = [value or 0 for series in self.series if series.line for value in series.values]
        largest = max([*stacked, *lines, 2 if bars else 1])
        power: float = 10.0 ** math.floor(math.log10(largest))
        # Half of it stands beside the chart: of few things that is a whole number, too.
        steps = (2, 4, 6, 8, 10) if bars and power == 1 else (1, 2, 4, 5, 6, 8, 10)
        return next(step * power for step in steps if step * power >= largest)

    @property
    def middle(self) -> float:
        """The middle of the scale."""
        return self.top / 2 if self.top > 1 else 0.5

    @property
    def rendered(self) -> list[RenderedSeries]:
        """All series, bars stacked."""
        heights = [0.0] * len(self.moments)
        return [_render_line(self, one) if one.line else _render_bars(self, one, heights) for one in self.series]

    @property
    def rows(self) -> list[tuple[datetime, list[float | None]]]:
        """The same as a table, latest first, at most 200 rows."""
        step = max(1, math.ceil(len(self.moments) / MAX_TABLE_ROWS))
        columns = [series.values for series in self.series]
        table = [(moment, [values[index] for values in columns]) for index, moment in enumerate(self.moments)]
        return table[::-step]


def _render_bars(chart: Chart, series: Series, heights: list[float]) -> RenderedSeries:
    """Bars on top of `heights`, to which it adds their own."""
    slot, bars = WIDTH / max(1, len(chart.moments)), []
    for index, value in enumerate(series.values):
        if value:
            height = value / chart.top * HEIGHT
            heights[index] += height
            box = (index * slot + slot * BAR_GAP / 2, HEIGHT - heights[index], slot * (1 - BAR_GAP), height)
            x, y, width, height = (round(number, 2) for number in box)
            bars.append(Bar(x, y, width, height, f"{value:,.0f} {series.label}"))
    total = sum(value or 0 for value in series.values) if chart.totals else None
    return RenderedSeries(series.label, series.colour, total, bars)


def _render_line(chart: Chart, series: Series) -> RenderedSeries:
    slot = WIDTH / max(1, len(chart.moments) - 1)
    points = [
        (index * slot, HEIGHT - value / chart.top * HEIGHT)
        for index, value in enumerate(series.values)
        if value is not None
    ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    area = f"M{path}L{points[-1][0]:.1f} {HEIGHT}L{points[0][0]:.1f} {HEIGHT}Z" if points else ""
    return RenderedSeries(series.label, series.colour, None, path=f"M{path}" if points else "", area=area)
