"""How fast a batch drains, and when it will be empty: from what was counted, and nothing else.

Pure: it knows no database and no clock. A forecast is a range, because an ingest is no steady thing: the slowest and the
fastest of three rates, over all of the draining, its last half and its last quarter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from batches.models import Batch, IngestCount
from core.formatting import format_duration, format_time, pluralize

STALL = timedelta(seconds=30)
"""So long without progress is a stall, and ends all forecasts. The ingest tries failed events again after one and two minutes."""
WINDOWS = (1.0, 0.5, 0.25)
"""Parts of the draining, each up to its last count, over which a rate is taken."""


class Point(NamedTuple):
    """One count."""

    at: datetime
    remaining: int


@dataclass(frozen=True)
class Forecast:
    """Where a batch stands by its last count."""

    at: datetime
    remaining: int
    rate: float | None
    """Objects a second that leave the bucket, lately; None: not known yet, or none do."""
    earliest: datetime | None
    """When it will be empty at the fastest rate; None: no forecast."""
    latest: datetime | None
    """When it will be empty at the slowest rate."""
    idle: timedelta
    """How long the last counts have been the same."""

    @property
    def stalled(self) -> bool:
        """Whether there was no progress for so long that nothing can be foretold."""
        return self.remaining > 0 and self.idle >= STALL


def forecast(points: Sequence[Point]) -> Forecast | None:
    """What the counts, in the order of their times, say together; None without any."""
    if not points:
        return None
    last = points[-1]
    falling = _last_descent(points)
    idle = last.at - _first_seen(points)
    rates = [rate for part in WINDOWS if (rate := _rate(falling, part)) is not None]
    if not last.remaining or idle >= STALL or not rates or max(rates) <= 0:
        return Forecast(last.at, last.remaining, None, None, None, idle)
    slow = min(rate for rate in rates if rate > 0)
    earliest, latest = (_at_index(last, rate) for rate in (max(rates), slow))
    return Forecast(last.at, last.remaining, rates[-1] or slow, earliest, latest, idle)


def downsample(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of the points, for a picture: the first, the last, and evenly chosen ones between."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def _last_descent(points: Sequence[Point]) -> Sequence[Point]:
    """The tail in which it never rose: after more was put into the bucket, what was before says nothing."""
    start = len(points) - 1
    while start > 0 and points[start - 1].remaining >= points[start].remaining:
        start -= 1
    return points[start:]


def _first_seen(points: Sequence[Point]) -> datetime:
    index = len(points) - 1
    while index > 0 and points[index - 1].remaining == points[-1].remaining:
        index -= 1
    return points[index].at


def _rate(points: Sequence[Point], part: float) -> float | None:
    """Objects a second over the last part of the time; None where that is no time at all."""
    last = points[-1]
    begin = last.at - (last.at - points[0].at) * part
    # At least two counts, else a part between two of them would have none.
    index = min(bisect_left(points, begin, key=lambda point: point.at), len(points) - 2)
    if index < 0:
        return None
    seconds = (last.at - points[index].at).total_seconds()
    return (points[index].remaining - last.remaining) / seconds if seconds > 0 else None


def _at_index(last: Point, rate: float) -> datetime | None:
    seconds = last.remaining / rate
    # A century says as much as no forecast.
    return last.at + timedelta(seconds=seconds) if seconds < 100 * 365 * 86400 else None


MOST_POINTS = 5000
"""More counts than this are thinned while they are read: memory stays flat, and no picture has so many pixels."""


def points(batch: Batch, most: int = MOST_POINTS) -> list[Point]:
    """Its counts in the order of their times, since its upload ended; at most `most`, evenly chosen."""
    counts = IngestCount.objects.filter(check_run__batch=batch)
    if batch.upload_finished:
        counts = counts.filter(counted_at__gte=batch.upload_finished)
    found: list[Point] = []
    for when, remaining in counts.order_by("counted_at", "pk").values_list("counted_at", "remaining").iterator():
        found.append(Point(when, remaining))
        if len(found) > 4 * most:
            found = downsample(found, 2 * most)
    return downsample(found, most)


def current_forecast(batch: Batch) -> Forecast | None:
    """How fast it drains, and when it will be empty, by its counts; None when it was never counted."""
    return forecast(points(batch))


def forecast_text(drain: Forecast) -> str:
    """What is left, how fast it goes, and when it will be empty, in a few words."""
    left = f"{pluralize(drain.remaining, 'object')} left"
    if drain.stalled:
        return f"{left}, no progress for {format_duration(drain.idle)}"
    if drain.rate is None or drain.earliest is None:
        return left
    end = f"{_clock(drain.earliest, drain)} to {_clock(drain.latest, drain)}" if drain.latest else "nobody knows when"
    return f"{left}, {drain.rate:.3g} a second, empty {end}"


def _clock(when: datetime, drain: Forecast) -> str:
    """The time of a day, with the day if that is another one."""
    text = format_time(when)
    return text.partition(" ")[2] if text[:10] == format_time(drain.at)[:10] else text
