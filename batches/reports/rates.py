"""How fast batches are ingested, and how fast that usually is for their record type and action."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from django.db.models import (
    Case,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.utils import timezone

from batches.choices import Action
from batches.models import Batch, IngestCourse
from core.formatting import pluralize
from core.time_slots import Seconds, TimeSlots, slot_of

USUAL_PERIOD = timedelta(days=365)
"""Peers that ended in this time."""
MIN_PEERS = 3
"""With fewer there is nothing usual."""
SIZES = (100, 1_000, 10_000, 100_000)
"""Batches are compared by size, too: those below each of these numbers of records, and the larger ones."""
SLOW = 1.5
"""A batch is named as slow if its peers were so many times as fast."""
MAX_SLOWEST = 5
SLOTS = ((timedelta(days=60), timedelta(days=1)), (timedelta(days=550), timedelta(days=7)))
"""Spans of time up to these lengths are drawn in slots of this length; longer ones in months."""
MONTH = timedelta(days=30)
MAX_SLOTS = 120
RATE_IS_KNOWN = Q(ingest_oks__gt=0, ingest_duration__gt=timedelta())


@dataclass(frozen=True)
class UsualRate:
    """Records a minute of the other batches with the same record type and action."""

    median: float
    batches: int


def ingest_rate(batch: Batch) -> float | None:
    """Records a minute, from the first object to the end of the ingest; None: not known."""
    minutes = (batch.ingest_duration or timedelta()) / timedelta(minutes=1)
    return batch.ingest_oks / minutes if batch.ingest_oks and minutes > 0 else None


def usual_rate(batch: Batch) -> UsualRate | None:
    """The median of its peers, archived ones too; None if there are too few. One query."""
    recent = Q(rectype=batch.rectype, action=batch.action, ingest_done_at__gt=timezone.now() - USUAL_PERIOD)
    peers = Batch.objects.filter(RATE_IS_KNOWN, recent).exclude(pk=batch.pk)
    rates = [rate for rate in map(ingest_rate, peers.only("ingest_oks", "ingest_duration")) if rate]
    return UsualRate(median(rates), len(rates)) if len(rates) >= MIN_PEERS else None


def compared(batch: Batch, usual: UsualRate | None) -> str:
    """`1.8 times as slow as the median of 40 media batches to create`; empty if it can't be compared."""
    rate = ingest_rate(batch)
    return compared_rate(rate, usual, batch.rectype, batch.action) if rate and usual else ""


def compared_rate(rate: float, usual: UsualRate, rectype: str, action: str) -> str:
    """As `compared`, for a rate in records a minute."""
    times = usual.median / rate
    batches = pluralize(usual.batches, f"{rectype} batch", f"{rectype} batches")
    peers = f"the median of {batches} to {Action(action).label}"
    if 0.9 <= times <= 1.1:
        return f"as fast as {peers}"
    return f"{times:.1f} times as slow as {peers}" if times > 1 else f"{1 / times:.1f} times as fast as {peers}"


class RateRow(NamedTuple):
    """What is known about how fast a batch was ingested."""

    bid: str
    rectype: str
    action: str
    records: int
    rate: float
    """Records a minute."""
    ended_at: datetime | None
    first: timedelta | None
    """From the first object put to the first count with fewer objects."""
    longest_pause: float | None
    """Seconds."""


@dataclass(frozen=True)
class RateGroup:
    """Batches of a kind: record type, action and size."""

    rectype: str
    action: str
    size: str
    batches: int
    rate: float
    """Their median, in records a minute."""
    first: timedelta | None
    """Their median."""
    longest_pause: timedelta | None


@dataclass(frozen=True)
class SlowBatch:
    """A batch that was slow for its record type and action."""

    bid: str
    comparison: str


def with_rates(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    """Batches whose rate is known, annotated with it (`rate`) and with what their last course says."""
    course = IngestCourse.objects.filter(batch=OuterRef("pk")).order_by("-began_at")

    def last(name: str) -> Subquery:
        return Subquery(course.values(name)[:1])

    rate = ExpressionWrapper(F("ingest_oks") * 60.0 / Seconds("ingest_duration"), output_field=FloatField())
    first = ExpressionWrapper(last("progress_at") - F("ingest_start_time"), output_field=DurationField())
    tries = ExpressionWrapper(last("tries") * 1.0 / F("tried"), output_field=FloatField())
    return batches.filter(RATE_IS_KNOWN).annotate(
        rate=rate,
        first=first,
        pauses=last("pauses"),
        longest_pause=last("longest_pause"),
        tried=last("tried"),
        tries_per_record=Case(When(Q(tried__gt=0), then=tries), output_field=FloatField()),
    )


def rate_rows(batches: QuerySet[Batch], limit: int) -> list[RateRow]:
    """The latest ones of `with_rates`, in the order of their ends."""
    names = ("bid", "rectype", "action", "ingest_oks", "rate", "ingest_done_at", "first", "longest_pause")
    rows = batches.order_by(F("ingest_done_at").desc(nulls_last=True), "-pk").values_list(*names)[:limit]
    return [RateRow._make(row) for row in rows][::-1]


def rate_groups(rows: Iterable[RateRow]) -> list[RateGroup]:
    """By record type, action and size."""
    groups: dict[tuple[str, str, int], list[RateRow]] = defaultdict(list)
    for row in rows:
        size = next((index for index, limit in enumerate(SIZES) if row.records < limit), len(SIZES))
        groups[row.rectype, row.action, size].append(row)
    return [
        RateGroup(
            rectype,
            Action(action).label,
            f"under {SIZES[size]:,}" if size < len(SIZES) else f"{SIZES[-1]:,} or more",
            len(group),
            median(row.rate for row in group),
            timedelta(seconds=median(firsts))
            if (firsts := [row.first.total_seconds() for row in group if row.first])
            else None,
            timedelta(seconds=max(pauses))
            if (pauses := [row.longest_pause for row in group if row.longest_pause])
            else None,
        )
        for (rectype, action, size), group in sorted(groups.items())
    ]


def slowest(rows: Sequence[RateRow]) -> list[SlowBatch]:
    """The batches that were slowest, compared with the others of their record type and action."""
    kinds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.rate):
        kinds[row.rectype, row.action].append(row.rate)
    slow = []
    for row in rows:
        ordered = kinds[row.rectype, row.action]
        usual = UsualRate(_median_without(ordered, bisect_left(ordered, row.rate)), len(ordered) - 1)
        if usual.batches >= MIN_PEERS and usual.median / row.rate >= SLOW:
            slow.append((usual.median / row.rate, row, usual))
    slow.sort(key=lambda found: (found[0], found[1].bid), reverse=True)
    return [
        SlowBatch(row.bid, compared_rate(row.rate, usual, row.rectype, row.action))
        for _times, row, usual in slow[:MAX_SLOWEST]
    ]


def _median_without(ordered: Sequence[float], index: int) -> float:
    """The median of sorted numbers without one of them; of a single one, that one."""
    rest = len(ordered) - 1
    middle = [place + (place >= index) for place in ((rest - 1) // 2, rest // 2)] if rest else [0]
    return sum(ordered[place] for place in middle) / len(middle)


def rates_over_time(rows: Iterable[RateRow], now: datetime) -> tuple[TimeSlots, list[float | None]]:
    """The median rate of the batches that ended in each slot of time, up to now."""
    dated = [(row.ended_at, row.rate) for row in rows if row.ended_at]
    span = now - min((at for at, _rate in dated), default=now)
    length = next((slot for longest, slot in SLOTS if span <= longest), MONTH)
    seconds = int(length.total_seconds())
    slots = TimeSlots.until(now, min(span + length, length * MAX_SLOTS), seconds)
    rates: dict[int, list[float]] = defaultdict(list)
    for at, rate in dated:
        rates[slot_of(at, seconds)].append(rate)
    return slots, slots.filled({slot: median(values) for slot, values in rates.items()}, None)
