"""Charts of a feed's page about time: the parts of a sample's way, insert times, lock waits, and memory of the server."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime, timedelta
from statistics import median

from django.db import connections
from django.db.models import Max

from core.charts import Chart, Series
from core.time_slots import TimeSlot, TimeSlots, slot_of
from loader.bottleneck import TIMES, Times, Way, complete_times, ways
from loader.models import Feed, LoadAttempt, ServerReading

SLOT_SAMPLE = 40
"""Attempts that are read of each slot, the newest ones: enough for a median."""
PARTS = (("download", "blue"), ("parse", "orange"), ("wait", "grey"), ("insert", "green"))
GIGABYTE = 1e9


def way_charts(feed: Feed, now: datetime, length: timedelta, seconds: int) -> list[Chart]:
    """Two or three charts from one query: a few rows of each slot, by the index on feed and time."""
    slots = TimeSlots.until(now, length, seconds)
    rows: dict[int, list[Times]] = defaultdict(list)
    for times in _sample(feed, slots):
        rows[slot_of(times.read_start, seconds)].append(times)
    parts = {slot: ways(sorted(some, key=lambda times: times.insert_start)) for slot, some in rows.items()}
    charts = [_parts_chart(slots, parts), _insert_chart(slots, parts)]
    locked = {slot: 100.0 * sum(1 for times in some if times.lock_waits) / len(some) for slot, some in rows.items()}
    if any(locked.values()):
        series = [Series("inserts in 100", "orange", [round(value or 0, 1) for value in slots.filled(locked)])]
        charts.append(
            Chart("Lock waits", slots.moments, series, "Inserts that another insert's lock kept waiting (409).")
        )
    return charts


def memory_chart(feed: Feed, now: datetime, length: timedelta, seconds: int) -> Chart | None:
    """Memory of the server's host, as the server reported it; one query, by the index on server and time. None: no report."""
    slots = TimeSlots.until(now, length, seconds)
    readings = ServerReading.objects.filter(server=feed.server_id, at__gte=slots.moments[0], memory_used__isnull=False)
    grouped = readings.order_by().annotate(slot=TimeSlot("at", seconds)).values_list("slot")
    used, total = {}, {}
    for slot, most, of in grouped.annotate(most=Max("memory_used"), of=Max("memory_total")):
        used[int(slot)] = round(most / GIGABYTE, 2)
        if of:
            total[int(slot)] = round(of / GIGABYTE, 2)
    if not used:
        return None
    series = [Series("in use", "blue", slots.filled(used, None), line=True)]
    if total:
        series.append(Series("total", "grey", slots.filled(total, None), line=True))
    return Chart(
        "Memory of the server's host in GB", slots.moments, series, "The most in use, as the server reported it."
    )


def _sample(feed: Feed, slots: TimeSlots) -> list[Times]:
    attempts = LoadAttempt.objects.filter(feed=feed, insert_end_time__isnull=False).order_by("-bucket_read_start_time")
    length = timedelta(seconds=slots.seconds)
    newest = [
        attempts.filter(bucket_read_start_time__gte=moment, bucket_read_start_time__lt=moment + length)[:SLOT_SAMPLE]
        for moment in slots.moments
    ]
    if not connections[attempts.db].features.supports_slicing_ordering_in_compound:
        # SQLite refuses a union with a part that is limited.
        newest = [LoadAttempt.objects.using(part.db).filter(pk__in=part.values("pk")).order_by() for part in newest]
    parts = [part.values_list(*TIMES) for part in newest]
    return complete_times(list(parts[0].union(*parts[1:], all=True)))


def _parts_chart(slots: TimeSlots, parts: dict[int, list[Way]]) -> Chart:
    series = [Series(name, colour, _in_milliseconds(slots, parts, name)) for name, colour in PARTS]
    return Chart(
        "A sample's way in milliseconds",
        slots.moments,
        series,
        f"Medians of up to {SLOT_SAMPLE} samples at the end of each time slot: download; parse, once the file is there and the "
        "server free; wait, until the server has inserted the one before; insert.",
        totals=False,
    )


def _insert_chart(slots: TimeSlots, parts: dict[int, list[Way]]) -> Chart:
    worst = {
        slot: round(1000 * sorted(way.insert for way in some)[math.ceil(0.95 * len(some)) - 1], 1)
        for slot, some in parts.items()
    }
    return Chart(
        "Insert time in milliseconds",
        slots.moments,
        [
            Series("median", "blue", [value or None for value in _in_milliseconds(slots, parts, "insert")], line=True),
            Series("95th percentile", "orange", slots.filled(worst, None), line=True),
        ],
        "From the request to the server's answer.",
    )


def _in_milliseconds(slots: TimeSlots, parts: dict[int, list[Way]], name: str) -> list[float | None]:
    return slots.filled(
        {slot: round(1000 * median(getattr(way, name) for way in some), 1) for slot, some in parts.items()}
    )
