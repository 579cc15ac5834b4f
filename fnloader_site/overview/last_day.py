"""Charts of the last 24 hours: samples loaded per hour, failures, insert time, batches that ended.

Cheap however many attempts there are: successes are counted in a covering index, failures are few, and of insert times a
bounded sample is read, evenly spread over the day. Each process counts all but the latest hours once an hour; later changes
to them appear with the next hour.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.core.cache import cache
from django.db.models import Count, Max, Value

from batches.models import Batch
from core.charts import Chart, Series
from core.time_slots import TimeSlot, TimeSlots, slot_of
from loader.choices import AttemptOutcome
from loader.fn4.responses import IN_SERVER
from loader.models import LoadAttempt

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SLOT_SECONDS = 3600
SAMPLE_SIZE = 2000
"""Attempts of a day whose insert time is read; a day with fewer is read whole."""
UNCACHED_HOURS = 2
"""Hours that are counted on every request: the current one, and the one whose inserts may still end."""


@dataclass(frozen=True)
class HourlyCounts:
    """One hour of the charts."""

    loaded: float
    failed: float
    rejected: float
    median: float | None
    """Of the insert times, in milliseconds."""
    percentile_95: float | None


def loading_charts(now: datetime) -> list[Chart]:
    """Samples loaded, failures, and insert time by hour; five queries."""
    slots = TimeSlots.until(now, DAY, SLOT_SECONDS)
    key = f"lastday-{slots.first}"
    earlier: list[HourlyCounts] | None = cache.get(key)
    if earlier is None:
        hours = _count_hours(slots)
        cache.set(key, hours[:-UNCACHED_HOURS], SLOT_SECONDS)
    else:
        hours = earlier + _count_hours(slots.last(UNCACHED_HOURS))
    return [
        Chart(
            "Samples loaded per hour",
            slots.moments,
            [Series("loaded", "blue", [hour.loaded for hour in hours])],
            "Inserts with status 200 or 201.",
        ),
        Chart(
            "Failures per hour",
            slots.moments,
            [
                Series("will retry", "orange", [hour.failed for hour in hours]),
                Series("rejected", "red", [hour.rejected for hour in hours]),
            ],
            "Failed load attempts, by what happens to their samples.",
        ),
        Chart(
            "Insert time in milliseconds",
            slots.moments,
            [
                Series("median", "blue", [hour.median for hour in hours], line=True),
                Series("95th percentile", "orange", [hour.percentile_95 for hour in hours], line=True),
            ],
            "Duration of successful inserts.",
        ),
    ]


def batches_ended_chart(now: datetime) -> Chart:
    """Batches whose ingest ended, by hour; one query."""
    slots = TimeSlots.until(now, DAY, SLOT_SECONDS)
    counts: dict[bool, dict[int, float]] = {True: defaultdict(int), False: defaultdict(int)}
    batches = Batch.objects.filter(ingest_done_at__gte=slots.moments[0]).order_by()
    for when, errors in batches.values_list("ingest_done_at", "ingest_errs"):
        if when:
            counts[bool(errors)][slot_of(when, SLOT_SECONDS)] += 1
    return Chart(
        "Batches ended per hour",
        slots.moments,
        [
            Series("complete", "green", slots.filled(counts[False])),
            Series("complete, with errors", "orange", slots.filled(counts[True])),
        ],
        "Batches whose ingest is complete.",
    )


def _count_hours(slots: TimeSlots) -> list[HourlyCounts]:
    recent = LoadAttempt.objects.filter(bucket_read_start_time__gte=slots.moments[0])
    first = recent.order_by("bucket_read_start_time", "pk").values_list("pk", flat=True).first()
    loaded, failures = _loaded(slots), _failures(slots, first)
    times = _insert_times(first, SAMPLE_SIZE * slots.number * HOUR // DAY)
    return [
        HourlyCounts(
            loaded.get(slot, 0),
            failures[AttemptOutcome.FAILED].get(slot, 0),
            failures[AttemptOutcome.REJECTED].get(slot, 0),
            round(median(times[slot]), 1) if slot in times else None,
            round(percentile(times[slot], 0.95), 1) if slot in times else None,
        )
        for slot in range(slots.first, slots.first + slots.number)
    ]


def _loaded(slots: TimeSlots) -> dict[int, float]:
    """By slot. One query of many parts: each counts an hour in the index on status and time, and reads no row."""
    parts = [
        LoadAttempt.objects.filter(
            insert_status_code__in=IN_SERVER, insert_start_time__gte=hour, insert_start_time__lt=hour + HOUR
        )
        .order_by()
        .annotate(slot=Value(slot_of(hour, SLOT_SECONDS)))
        .values("slot")
        .annotate(n=Count("*"))
        .values_list("slot", "n")
        for hour in slots.moments
    ]
    return dict(parts[0].union(*parts[1:], all=True))


def _failures(slots: TimeSlots, first: int | None) -> dict[str, dict[int, float]]:
    """By outcome and slot."""
    counts: dict[str, dict[int, float]] = {AttemptOutcome.FAILED: {}, AttemptOutcome.REJECTED: {}}
    if first is None:
        return counts
    attempts = LoadAttempt.objects.filter(
        outcome__in=list(counts), pk__gte=first, bucket_read_start_time__gte=slots.moments[0]
    )
    slot = TimeSlot("bucket_read_start_time", SLOT_SECONDS)
    rows = attempts.order_by().annotate(slot=slot).values_list("outcome", "slot")
    for outcome, number, count in rows.annotate(n=Count("*")):
        counts[str(outcome)][int(number)] = count
    return counts


def _insert_times(first: int | None, most: int) -> dict[int, list[float]]:
    """Milliseconds of at most so many inserts from `first` on, evenly spread, by slot."""
    times: dict[int, list[float]] = defaultdict(list)
    if first is None:
        return times
    last = LoadAttempt.objects.aggregate(last=Max("pk"))["last"] or first
    step = math.ceil((last - first + 1) / most)
    inserted = LoadAttempt.objects.filter(insert_status_code__in=IN_SERVER, insert_end_time__isnull=False)
    sample = inserted.filter(pk__gte=first) if step == 1 else inserted.filter(pk__in=range(first, last + 1, step))
    for start, end in sample.order_by().values_list("insert_start_time", "insert_end_time"):
        if start and end:
            times[slot_of(start, SLOT_SECONDS)].append((end - start) / timedelta(milliseconds=1))
    return times


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
