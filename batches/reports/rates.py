"""How fast batches are ingested, and how fast that usually is for their record type and action."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from django.utils import timezone

from batches.models import Batch

USUAL_PERIOD = timedelta(days=365)
"""Peers that ended in this time."""
MIN_PEERS = 3
"""With fewer there is nothing usual."""


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
    peers = Batch.objects.filter(
        rectype=batch.rectype,
        action=batch.action,
        ingest_oks__gt=0,
        ingest_duration__gt=timedelta(),
        ingest_done_at__gt=timezone.now() - USUAL_PERIOD,
    ).exclude(pk=batch.pk)
    rates = [rate for rate in map(ingest_rate, peers.only("ingest_oks", "ingest_duration")) if rate]
    return UsualRate(median(rates), len(rates)) if len(rates) >= MIN_PEERS else None


def compared(batch: Batch, usual: UsualRate | None) -> str:
    """`1.8 times as slow as the median of 40 media batches to create`; empty if it can't be compared."""
    rate = ingest_rate(batch)
    if not (rate and usual):
        return ""
    times = usual.median / rate
    peers = f"the median of {usual.batches:,} {batch.rectype} batches to {batch.get_action_display()}"
    if 0.9 <= times <= 1.1:
        return f"as fast as {peers}"
    return f"{times:.1f} times as slow as {peers}" if times > 1 else f"{1 / times:.1f} times as fast as {peers}"
