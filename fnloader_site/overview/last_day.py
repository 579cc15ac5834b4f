"""The last 24 hours as pictures: samples loaded an hour, failures, insert time, batches that ended.

Cheap however many attempts there are: successes are counted in an index that holds all that is asked, failures are few, and
of the times of inserts a bounded sample is read, evenly spread over the day. Of all but the latest hours this is done once an
hour by each process; what changes in them later is drawn with the next hour.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.core.cache import cache
from django.db.models import Count, Max, Value

from batches.models import Batch
from core.charts import Chart, Series
from core.time_slots import TimeSlot, TimeSlots
from loader.choices import AttemptOutcome
from loader.fn4.responses import IN_SERVER
from loader.models import LoadAttempt

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SECONDS = 3600
SAMPLE = 2000
"""Attempts of a day whose insert time is read; a day with fewer is read whole."""
LATEST = 2
"""Hours that are counted at every look: the one that runs, and the one whose inserts may still end."""


@dataclass(frozen=True)
class HourlyCounts:
    """What one hour's bars and points show."""

    loaded: float
    failed: float
    rejected: float
    middle: float | None
    """Median of the insert times, in milliseconds."""
    slow: float | None
    """Their 95th percentile."""


def loading_charts(now: datetime) -> list[Chart]:
    """Samples loaded, failures, and insert time by hour; five queries."""
    slots = TimeSlots.until(now, DAY, SECONDS)
    hours = _hours(slots)
    return [
        Chart(
            "Samples loaded an hour",
            slots.moments,
            [Series("loaded", "blue", [hour.loaded for hour in hours])],
            "Inserts that a server answered with 200 or 201.",
        ),
        Chart(
            "Failures an hour",
            slots.moments,
            [
                Series("to be tried again", "orange", [hour.failed for hour in hours]),
                Series("rejected", "red", [hour.rejected for hour in hours]),
            ],
            "Load attempts that failed, by what becomes of their samples.",
        ),
        Chart(
            "Insert time in milliseconds",
            slots.moments,
            [
                Series("median", "blue", [hour.middle for hour in hours], line=True),
                Series("95th percentile", "orange", [hour.slow for hour in hours], line=True),
            ],
            "How long servers took for an insert that succeeded.",
        ),
    ]


def batches_ended_chart(now: datetime) -> Chart:
    """Batches whose ingest ended, by hour; one query."""
    slots = TimeSlots.until(now, DAY, SECONDS)
    found: dict[bool, dict[int, float]] = {True: defaultdict(int), False: defaultdict(int)}
    rows = Batch.objects.filter(ingest_done_at__gte=slots.moments[0]).order_by()
    for when, left in rows.values_list("ingest_done_at", "ingest_errs"):
        if when:
            found[bool(left)][_slot(when)] += 1
    return Chart(
        "Batches ended an hour",
        slots.moments,
        [
            Series("complete", "green", slots.filled(found[False])),
            Series("complete, with errors", "orange", slots.filled(found[True])),
        ],
        "Batches whose ingest was found to be over.",
    )


def _hours(slots: TimeSlots) -> list[HourlyCounts]:
    key = f"lastday-{slots.first}"
    earlier: list[HourlyCounts] | None = cache.get(key)
    if earlier is None:
        hours = _counted(slots)
        cache.set(key, hours[:-LATEST], SECONDS)
        return hours
    return earlier + _counted(slots.last(LATEST))


def _counted(slots: TimeSlots) -> list[HourlyCounts]:
    first = _first_since(slots.moments[0])
    loaded, lost = _loaded(slots), _failures(slots, first)
    middle, slow = _insert_times(first, SAMPLE * slots.number * HOUR // DAY)
    return [
        HourlyCounts(
            loaded.get(slot, 0),
            lost[AttemptOutcome.FAILED].get(slot, 0),
            lost[AttemptOutcome.REJECTED].get(slot, 0),
            middle.get(slot),
            slow.get(slot),
        )
        for slot in range(slots.first, slots.first + slots.number)
    ]


def _first_since(when: datetime) -> int | None:
    later = LoadAttempt.objects.filter(bucket_read_start_time__gte=when)
    return later.order_by("bucket_read_start_time", "pk").values_list("pk", flat=True).first()


def _loaded(slots: TimeSlots) -> dict[int, float]:
    """One query of many parts: each counts an hour in the index on status and time, and reads no row."""
    parts = [
        LoadAttempt.objects.filter(
            insert_status_code__in=IN_SERVER, insert_start_time__gte=hour, insert_start_time__lt=hour + HOUR
        )
        .order_by()
        .annotate(slot=Value(_slot(hour)))
        .values("slot")
        .annotate(n=Count("*"))
        .values_list("slot", "n")
        for hour in slots.moments
    ]
    return dict(parts[0].union(*parts[1:], all=True))


def _failures(slots: TimeSlots, first: int | None) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {AttemptOutcome.FAILED: {}, AttemptOutcome.REJECTED: {}}
    if first is None:
        return found
    rows = LoadAttempt.objects.filter(
        outcome__in=list(found), pk__gte=first, bucket_read_start_time__gte=slots.moments[0]
    )
    grouped = rows.order_by().annotate(slot=TimeSlot("bucket_read_start_time", SECONDS)).values_list("outcome", "slot")
    for outcome, slot, number in grouped.annotate(n=Count("*")):
        found[str(outcome)][int(slot)] = number
    return found


def _insert_times(first: int | None, most: int) -> tuple[dict[int, float], dict[int, float]]:
    """Median and 95th percentile by slot, in milliseconds."""
    if first is None:
        return {}, {}
    times: dict[int, list[float]] = defaultdict(list)
    for start, end in _sample(first, most):
        times[_slot(start)].append((end - start) / timedelta(milliseconds=1))
    return (
        {slot: round(median(some), 1) for slot, some in times.items()},
        {slot: round(percentile(some, 0.95), 1) for slot, some in times.items()},
    )


def _sample(first: int, most: int) -> Iterator[tuple[datetime, datetime]]:
    rows = LoadAttempt.objects.filter(insert_status_code__in=IN_SERVER)
    last = LoadAttempt.objects.aggregate(last=Max("pk"))["last"] or first
    step = math.ceil((last - first + 1) / most)
    chosen = rows.filter(pk__gte=first) if step == 1 else rows.filter(pk__in=range(first, last + 1, step))
    times = chosen.filter(insert_end_time__isnull=False).order_by().values_list("insert_start_time", "insert_end_time")
    for start, end in times:
        if start and end:
            yield start, end


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that so great a share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _slot(when: datetime) -> int:
    return int(when.timestamp()) // SECONDS
