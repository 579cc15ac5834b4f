"""The curve of a batch: every count of it since it was uploaded, whatever it was counted for."""

from __future__ import annotations

from datetime import datetime

from batches.curve import Drain, Point, drain, thinned
from batches.history import IngestCount
from batches.models import Batch
from core.formatting import format_duration, format_time, pluralize

MOST = 5000
"""More counts than this are thinned while they are read: memory stays flat, and no picture has so many pixels."""


def points(batch: Batch, most: int = MOST) -> list[Point]:
    """Its counts in the order of their times, since its upload ended; at most `most`, evenly chosen."""
    counts = IngestCount.objects.filter(check_run__batch=batch)
    if batch.upload_finished:
        counts = counts.filter(counted_at__gte=batch.upload_finished)
    found: list[Point] = []
    for when, remaining in counts.order_by("counted_at", "pk").values_list("counted_at", "remaining").iterator():
        found.append(Point(when, remaining))
        if len(found) > 4 * most:
            found = thinned(found, 2 * most)
    return thinned(found, most)


def standing(batch: Batch) -> Drain | None:
    """How fast it drains, and when it will be empty, by its counts; None when it was never counted."""
    return drain(points(batch))


def said(drain: Drain) -> str:
    """What is left, how fast it goes, and when it will be empty, in a few words."""
    left = f"{pluralize(drain.remaining, 'object')} left"
    if drain.stalled:
        return f"{left}, no progress for {format_duration(drain.idle)}"
    if drain.rate is None or drain.earliest is None:
        return left
    end = f"{_clock(drain.earliest, drain)} to {_clock(drain.latest, drain)}" if drain.latest else "nobody knows when"
    return f"{left}, {drain.rate:.3g} a second, empty {end}"


def _clock(when: datetime, drain: Drain) -> str:
    """The time of a day, with the day if that is another one."""
    text = format_time(when)
    return text.partition(" ")[2] if text[:10] == format_time(drain.at)[:10] else text
