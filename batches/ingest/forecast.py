"""How fast the objects of a batch leave its bucket, and when it will be empty, from the counts alone.

A forecast is a range, because an ingest is not steady: the slowest and the fastest of three rates, over the whole time, its
last half and its last quarter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from batches.models import Batch, IngestCount
from core.expected_end import expected_end
from core.formatting import format_duration, format_time, pluralize

STALLED_AFTER = timedelta(seconds=30)
"""After this long without progress there is no forecast. The ingest tries failed events again after one and two minutes."""
WINDOWS = (1.0, 0.5, 0.25)
"""Parts of the time, each up to the last count, over which a rate is computed."""
MAX_POINTS = 5000
"""More counts than this are thinned out while they are read, so that memory stays flat."""


class Point(NamedTuple):
    """One count."""

    at: datetime
    remaining: int


@dataclass(frozen=True)
class Forecast:
    """The progress of a batch at its last count."""

    at: datetime
    remaining: int
    rate: float | None
    """Objects per second that left the bucket recently; None: not known yet, or none."""
    earliest: datetime | None
    """When the bucket will be empty at the fastest rate; None: no forecast."""
    latest: datetime | None
    """When it will be empty at the slowest rate."""
    idle: timedelta
    """How long the last counts have been the same."""

    @property
    def stalled(self) -> bool:
        """Whether there was no progress for too long for a forecast."""
        return self.remaining > 0 and self.idle >= STALLED_AFTER


def forecast(points: Sequence[Point]) -> Forecast | None:
    """The forecast from these counts, in the order of their times; None without any."""
    if not points:
        return None
    last, start = points[-1], len(points) - 1
    # Only the counts since it last rose: after more objects were put, earlier counts say nothing.
    while start > 0 and points[start - 1].remaining >= points[start].remaining:
        start -= 1
    first_same = len(points) - 1
    while first_same > 0 and points[first_same - 1].remaining == last.remaining:
        first_same -= 1
    idle = last.at - points[first_same].at
    rates = [rate for part in WINDOWS if (rate := _rate(points[start:], part)) is not None]
    if not last.remaining or idle >= STALLED_AFTER or not rates or max(rates) <= 0:
        return Forecast(last.at, last.remaining, None, None, None, idle)
    earliest, latest = expected_end(last.at, last.remaining, rates)
    recent = rates[-1] or min(rate for rate in rates if rate > 0)
    return Forecast(last.at, last.remaining, recent, earliest, latest, idle)


def downsample(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` of the points, for a chart: the first, the last, and evenly chosen ones between."""
    if len(points) <= limit:
        return list(points)
    step = (len(points) - 1) / (limit - 1)
    return [points[round(number * step)] for number in range(limit)]


def _rate(points: Sequence[Point], part: float) -> float | None:
    """Objects per second over the last part of the time; None if that has no length."""
    last = points[-1]
    begin = last.at - (last.at - points[0].at) * part
    # At least two counts, else a part between two of them would have none.
    index = min(bisect_left(points, begin, key=lambda point: point.at), len(points) - 2)
    if index < 0:
        return None
    seconds = (last.at - points[index].at).total_seconds()
    return (points[index].remaining - last.remaining) / seconds if seconds > 0 else None


def count_points(batch: Batch, limit: int = MAX_POINTS) -> list[Point]:
    """Its counts in the order of their times, since its upload ended; at most `limit`, evenly chosen."""
    counts = IngestCount.objects.filter(check_run__batch=batch)
    if batch.upload_finished:
        counts = counts.filter(counted_at__gte=batch.upload_finished)
    points: list[Point] = []
    for counted_at, remaining in counts.order_by("counted_at", "pk").values_list("counted_at", "remaining").iterator():
        points.append(Point(counted_at, remaining))
        if len(points) > 4 * limit:
            points = downsample(points, 2 * limit)
    return downsample(points, limit)


def current_forecast(batch: Batch) -> Forecast | None:
    """The forecast from its stored counts; None if it was never counted."""
    return forecast(count_points(batch))


def forecast_text(current: Forecast) -> str:
    """Remaining objects, rate and expected end, for a line on a terminal."""
    remaining = f"{pluralize(current.remaining, 'object')} remaining"
    if current.stalled:
        return f"{remaining}, no progress for {format_duration(current.idle)}"
    if current.rate is None or current.earliest is None:
        return remaining
    today = format_time(current.at)[:11]
    earliest = format_time(current.earliest).removeprefix(today)
    end = f"to {format_time(current.latest).removeprefix(today)}" if current.latest else "or later"
    return f"{remaining}, {current.rate:.3g} per second, empty {earliest} {end}"
