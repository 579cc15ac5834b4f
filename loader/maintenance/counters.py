"""Counters of `/metrics`: outcomes and times of attempts, in a small table that is cheap to read.

An update adds the attempts that ended since the last one, and reads no attempt twice. So the counters lag by a minute or two,
and never count again, with any number of attempts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Max, Min
from django.db.models.functions import Now

from core.due import older_than
from loader.choices import AttemptOutcome
from loader.models import LoadAttempt, Tally, TallyMark

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0)
"""Upper bounds of the histograms' buckets, in seconds; one more bucket is for what took longer."""
OUTCOME, INSERT, READ = "outcome", "insert", "read"
UPDATE_EVERY = timedelta(seconds=30)
MAX_ATTEMPTS = 50_000
CounterUpdate = dict[tuple[int | None, str, str], tuple[int, float]]


def update_counters(db: str = "default", limit: int = MAX_ATTEMPTS) -> int:
    """Counts up to `limit` attempts that ended since the last update; returns their number. At most once in UPDATE_EVERY.

    Only attempts up to the last one of the previous update: one with a smaller key may have been written later.
    """
    TallyMark.objects.using(db).get_or_create(pk=1)
    with transaction.atomic(using=db):
        due = older_than("rolled_at", UPDATE_EVERY)
        if not TallyMark.objects.using(db).filter(due, pk=1).update(rolled_at=Now()):
            return 0
        mark = TallyMark.objects.using(db).get(pk=1)
        attempts = LoadAttempt.objects.using(db)
        last = attempts.aggregate(last=Max("gp_int_id"))["last"] or 0
        first_open = attempts.filter(outcome=AttemptOutcome.OPEN).aggregate(first=Min("gp_int_id"))["first"]
        upto = min(mark.seen, mark.counted + limit, *([first_open - 1] if first_open else []))
        counted, number = _count(mark.counted, upto, db)
        for (feed, measure, bucket), (attempts_number, seconds) in counted.items():
            key = {"feed_key": feed or 0, "measure": measure, "bucket": bucket}
            tally = Tally.objects.using(db).filter(**key)
            if not tally.update(number=F("number") + attempts_number, seconds=F("seconds") + seconds):
                Tally.objects.using(db).create(**key, number=attempts_number, seconds=seconds)
        TallyMark.objects.using(db).filter(pk=1).update(counted=max(upto, mark.counted), seen=last)
    return number


def _count(after: int, upto: int, db: str) -> tuple[CounterUpdate, int]:
    counted: CounterUpdate = defaultdict(lambda: (0, 0.0))

    def add(feed: int | None, measure: str, bucket: str, seconds: float) -> None:
        number, total = counted[feed, measure, bucket]
        counted[feed, measure, bucket] = (number + 1, total + seconds)

    number = 0
    rows = LoadAttempt.objects.using(db).filter(gp_int_id__gt=after, gp_int_id__lte=upto, outcome__isnull=False)
    inserts, reads = ("insert_start_time", "insert_end_time"), ("bucket_read_start_time", "bucket_read_end_time")
    columns = ("feed", "outcome", *inserts, *reads)
    for feed, outcome, *times in rows.values_list(*columns).iterator(chunk_size=2000):
        number += 1
        add(feed, OUTCOME, outcome, 0.0)
        for measure, start, end in ((INSERT, *times[:2]), (READ, *times[2:])):
            if start and end and outcome != AttemptOutcome.NOT_SENT:
                seconds = max(0.0, (end - start).total_seconds())
                add(feed, measure, str(bisect_left(BOUNDS, seconds)), seconds)
    return counted, number
