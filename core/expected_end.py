"""When something will be done: a range, because nothing goes on steadily."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

MAX_FORECAST = timedelta(days=36500)


def expected_end(at: datetime, remaining: int, rates: Sequence[float]) -> tuple[datetime | None, datetime | None]:
    """At the fastest and at the slowest of these rates (per second), of which 0 and less are left out; None: unknown,
    or further away than MAX_FORECAST."""
    speeds = [rate for rate in rates if rate > 0]
    if not speeds:
        return None, None
    seconds = (remaining / max(speeds), remaining / min(speeds))
    earliest, latest = (at + timedelta(seconds=s) if s < MAX_FORECAST.total_seconds() else None for s in seconds)
    return earliest, latest
