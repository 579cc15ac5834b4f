"""Hours of the day in which something may happen, such as `19:00-06:00,sat,sun`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Self

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_LAST_MINUTE = 24 * 60


@dataclass(frozen=True)
class DailyHours:
    """Ranges of the clock on the wall, so that a change of it (daylight saving time) changes nothing. None: at any time."""

    text: str = ""
    ranges: tuple[tuple[int, int], ...] = ()
    """Start and end in minutes after midnight; an end before the start is on the next day."""
    days: tuple[int, ...] = ()
    """Whole days besides, 0 is Monday."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads ranges and days that are separated by commas. Raises ValueError."""
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        days = tuple(DAYS.index(word) for word in words if word in DAYS)
        return cls(text.strip(), tuple(_range(word) for word in words if word not in DAYS), days)

    def include(self, now: datetime) -> bool:
        """Whether this moment is within them; `now` is in the time zone that they are meant in."""
        minute = now.hour * 60 + now.minute
        return (
            not (self.ranges or self.days)
            or now.weekday() in self.days
            or any(
                start <= minute < end if start < end else minute >= start or minute < end for start, end in self.ranges
            )
        )

    def next_start(self, now: datetime) -> datetime:
        """When a range or a day begins next. There is one only if there are any hours."""
        starts = []
        for days_ahead in range(8):
            date = now.date() + timedelta(days=days_ahead)
            minutes = [start for start, _end in self.ranges] + ([0] if date.weekday() in self.days else [])
            starts += [datetime.combine(date, time(*divmod(minute, 60)), tzinfo=now.tzinfo) for minute in minutes]
        # In UTC: two times of one zone compare as the clock shows them.
        return min(start for start in starts if start.astimezone(UTC) > now.astimezone(UTC))


def _range(word: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(word)
    if not match:
        raise ValueError(word)
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start == end or start >= _LAST_MINUTE or end > _LAST_MINUTE or max(minute, end_minute) > 59:
        raise ValueError(word)
    return start, end
