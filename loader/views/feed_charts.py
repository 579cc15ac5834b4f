"""Charts of a feed's page: outcomes of its attempts, and samples in the server."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import Count, Max

from core.charts import Chart, Series
from core.time_slots import TimeSlot, TimeSlots
from loader.choices import AttemptOutcome
from loader.models import BatchLoad, Feed, LoadAttempt

SPANS = {"day": (timedelta(days=1), 3600), "week": (timedelta(days=7), 6 * 3600), "month": (timedelta(days=30), 86400)}
"""Length of each span, and the seconds of one bar."""
LOADED = (AttemptOutcome.INSERTED, AttemptOutcome.FOUND)
SERIES = (
    ("loaded", "blue", LOADED),
    ("already there", "grey", (AttemptOutcome.PRESENT,)),
    ("will retry", "orange", (AttemptOutcome.FAILED,)),
    ("rejected", "red", (AttemptOutcome.REJECTED,)),
)


def attempts_chart(feed: Feed, now: datetime, span: str) -> Chart:
    """Its attempts by outcome; one query, by the index on feed and time."""
    length, seconds = SPANS[span]
    slots = TimeSlots.until(now, length, seconds)
    rows = LoadAttempt.objects.filter(feed=feed, bucket_read_start_time__gte=slots.moments[0]).order_by()
    counts: dict[str, dict[int, float]] = defaultdict(dict)
    grouped = rows.annotate(slot=TimeSlot("bucket_read_start_time", seconds)).values_list("slot", "outcome")
    for slot, outcome, number in grouped.annotate(n=Count("*")):
        counts[outcome][int(slot)] = number
    series = [
        Series(
            label,
            colour,
            [sum(counts[outcome].get(slots.first + place, 0) for outcome in outcomes) for place in range(slots.number)],
        )
        for label, colour, outcomes in SERIES
    ]
    return Chart("Load attempts over time", slots.moments, series, "Number of attempts by outcome.")


def samples_in_server_chart(feed: Feed, now: datetime, span: str) -> Chart:
    """Samples in the server; one query, by the index on feed and time."""
    length, seconds = SPANS[span]
    slots = TimeSlots.until(now, length, seconds)
    rows = BatchLoad.objects.filter(feed=feed, check_time__gte=slots.moments[0]).order_by()
    grouped = rows.annotate(slot=TimeSlot("check_time", seconds)).values_list("slot")
    held: dict[int, float] = {}
    for slot, most in grouped.annotate(most=Max("number_in_server")):
        if most is not None:
            held[int(slot)] = most
    return Chart(
        "Samples in the server over time",
        slots.moments,
        [Series("in the server", "blue", slots.filled(held, None), line=True)],
        "Samples in the server when it was counted.",
    )
