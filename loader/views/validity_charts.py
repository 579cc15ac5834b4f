"""A feed's samples with too many N to be compared: their number and share by day, for its page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count

from core.charts import Chart, Series
from core.time_slots import TimeSlot, TimeSlots
from loader.models import Feed, LoadAttempt
from loader.validity import IN_SERVER, NewestFiles, invalid_rows, newest_files

DAYS = 30
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class InvalidSection:
    """The section of a feed's page about its samples with too many N."""

    in_server: int | None
    """Of the server, with those of its other feeds."""
    charts: list[Chart]
    newest: NewestFiles


def invalid_section(feed: Feed, now: datetime) -> InvalidSection | None:
    """None if the feed has no such sample: one query. Else four, by index."""
    if not invalid_rows(feed).exists():
        return None
    return InvalidSection(feed.server.invalid_in_server, _charts(feed, now), newest_files(feed))


def _charts(feed: Feed, now: datetime) -> list[Chart]:
    slots = TimeSlots.until(now, timedelta(days=DAYS), DAY_SECONDS)
    rows = invalid_rows(feed).filter(done_at__gte=slots.moments[0]).order_by()
    grouped = rows.annotate(slot=TimeSlot("done_at", DAY_SECONDS)).values_list("slot")
    invalid: dict[int, float] = {int(slot): number for slot, number in grouped.annotate(n=Count("*"))}
    loaded = _loaded_by_day(feed, set(invalid), slots.first + slots.number - 1)
    percent = {
        slot: round(min(100.0, 100 * number / loaded[slot]), 1) for slot, number in invalid.items() if loaded.get(slot)
    }
    return [
        Chart(
            "Samples with too many N by day",
            slots.moments,
            [Series("too many N", "orange", slots.filled(invalid))],
            "Number of samples that were loaded on that day and have too many N.",
            day=True,
        ),
        Chart(
            "Share of samples with too many N by day",
            slots.moments,
            [Series("% of the samples loaded", "orange", slots.filled(percent))],
            "Samples with too many N, in percent of those loaded on that day.",
            day=True,
            totals=False,
        ),
    ]


_ended_days: dict[tuple[int, datetime, int], int] = {}
"""Samples loaded by feed, its creation, and day, of days that are over: counted once by each process."""


def _loaded_by_day(feed: Feed, days: set[int], today: int) -> dict[int, int]:
    """The number of samples loaded on each of these days. Counts only days that it has not counted before, and the last two."""
    for key in [key for key in _ended_days if key[2] < today - DAYS]:
        _ended_days.pop(key, None)
    found = {day: _ended_days[key] for day in days if (key := (feed.pk, feed.created_at, day)) in _ended_days}
    if missing := days - set(found):
        since, until = (datetime.fromtimestamp(day * DAY_SECONDS, tz=UTC) for day in (min(missing), max(missing) + 1))
        rows = LoadAttempt.objects.filter(
            feed=feed, bucket_read_start_time__gte=since, bucket_read_start_time__lt=until, outcome__in=IN_SERVER
        )
        by_day = rows.order_by().annotate(slot=TimeSlot("bucket_read_start_time", DAY_SECONDS)).values_list("slot")
        for slot, number in by_day.annotate(n=Count("*")):
            found[int(slot)] = number
            if int(slot) < today - 1:
                _ended_days[feed.pk, feed.created_at, int(slot)] = number
    return found
