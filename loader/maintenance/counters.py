"""How many samples ended how, and how long they took: counters kept in a small table, so that looking is cheap for ever.

A counter is rolled forward over the attempts that ended since the last time, and reads no attempt twice. So it lags by a
minute or two, and never counts again, however many millions of attempts there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Max, Min, Q
from django.db.models.functions import Now

from loader.choices import AttemptOutcome
from loader.models import LoadAttempt, Tally, TallyMark

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
"""Upper bounds of the histograms' buckets, in seconds; one more bucket is for what took longer."""
OUTCOME, INSERT, READ = "outcome", "insert", "read"
EVERY = timedelta(seconds=30)
MOST = 50_000
CounterUpdate = dict[tuple[int | None, str, str], tuple[int, float]]


def update_counters(db: str = "default", most: int = MOST) -> int:
    """Counts what ended since the last time, `most` attempts at a time; returns how many. Not more often than EVERY.

    Only attempts up to the last one that was there the time before: one with a smaller number may have been written later.
    """
    TallyMark.objects.using(db).get_or_create(pk=1)
    with transaction.atomic(using=db):
        claimed = Q(rolled_at=None) | Q(rolled_at__lt=Now() - EVERY)
        if not TallyMark.objects.using(db).filter(claimed, pk=1).update(rolled_at=Now()):
            return 0
        mark = TallyMark.objects.using(db).get(pk=1)
        attempts = LoadAttempt.objects.using(db)
        last = attempts.aggregate(last=Max("gp_int_id"))["last"] or 0
        first_open = attempts.filter(outcome=AttemptOutcome.OPEN).aggregate(first=Min("gp_int_id"))["first"]
        upto = min(mark.seen, mark.counted + most, *([first_open - 1] if first_open else []))
        counted, number = _count(mark.counted, upto, db)
        for (feed, measure, bucket), (n, seconds) in counted.items():
            _add(feed, measure, bucket, n, seconds, db)
        TallyMark.objects.using(db).filter(pk=1).update(counted=max(upto, mark.counted), seen=last)
    return number


def _count(after: int, upto: int, db: str) -> tuple[CounterUpdate, int]:
    counted: CounterUpdate = defaultdict(lambda: (0, 0.0))
    number = 0
    rows = LoadAttempt.objects.using(db).filter(gp_int_id__gt=after, gp_int_id__lte=upto, outcome__isnull=False)
    columns = (
        "feed",
        "outcome",
        "insert_start_time",
        "insert_end_time",
        "bucket_read_start_time",
        "bucket_read_end_time",
    )
    for feed, outcome, began, ended, read_began, read_ended in rows.values_list(*columns).iterator(chunk_size=2000):
        number += 1
        _one(counted, (feed, OUTCOME, outcome), 0.0)
        for measure, start, end in ((INSERT, began, ended), (READ, read_began, read_ended)):
            if start and end and outcome != AttemptOutcome.NOT_SENT:
                seconds = _seconds(start, end)
                _one(counted, (feed, measure, str(bisect_left(BOUNDS, seconds))), seconds)
    return counted, number


def _one(counted: CounterUpdate, key: tuple[int | None, str, str], seconds: float) -> None:
    number, total = counted[key]
    counted[key] = (number + 1, total + seconds)


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


def _add(feed: int | None, measure: str, bucket: str, number: int, seconds: float, db: str) -> None:
    rows = Tally.objects.using(db).filter(feed_key=feed or 0, measure=measure, bucket=bucket)
    if not rows.update(number=F("number") + number, seconds=F("seconds") + seconds):
        Tally.objects.using(db).create(
            feed_key=feed or 0, measure=measure, bucket=bucket, number=number, seconds=seconds
        )
