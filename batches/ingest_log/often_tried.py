"""Records that the ingest tried far more often than the others of their batch: a sign that it tries them for ever."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count

from batches.choices import RetrySign
from batches.models import Batch, BatchRecord
from batches.querysets import OBJECT_REMAINS

MIN_TRIES = 5
"""The ingest tries a failed event three times by itself."""
MANY_TIMES = 5
"""As often as the median of the batch."""


def mark_often_tried(batch: Batch, now: datetime) -> None:
    """Marks records with far more tries than the batch's others. Call it in the transaction that writes the tries."""
    records = BatchRecord.objects.filter(batch=batch, tries__gt=0)
    numbers = dict(records.order_by().values_list("tries").annotate(n=Count("pk")))
    half, so_far, median = sum(numbers.values()) / 2, 0, 0
    for tries, number in sorted(numbers.items()):
        so_far += number
        if so_far >= half:
            median = tries
            break
    often = records.filter(tries__gte=max(MIN_TRIES, MANY_TIMES * median), retry_sign=None)
    is_there = often.filter(OBJECT_REMAINS)
    is_there.update(retry_sign=RetrySign.TRIES, retry_seen_at=now)
    often.update(retry_sign=RetrySign.TRIES)
