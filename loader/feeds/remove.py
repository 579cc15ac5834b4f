"""Removes a feed with its ledger; load attempts and batch loads stay."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models

from core.exceptions import OperationRefused
from core.processes import monotonic
from loader.choices import AttemptOutcome
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.lease import Lease
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt

PAGE_SIZE = 1000
LEASE_WAIT = 10.0
REMOVED_MESSAGE = "the feed was removed before the server was asked about this sample"


@dataclass(frozen=True)
class RemovalSummary:
    """Numbers of rows that are deleted (objects), and that stay (attempts, loads)."""

    objects: int
    attempts: int
    loads: int


def removal_summary(feed: Feed, db: str) -> RemovalSummary:
    """Counts them; changes nothing."""
    return RemovalSummary(
        BucketObject.objects.using(db).filter(feed=feed).count(),
        LoadAttempt.objects.using(db).filter(feed=feed).count(),
        BatchLoad.objects.using(db).filter(feed=feed).count(),
    )


def remove_feed(feed: Feed, db: str, progress: Callable[[int, int], None] = lambda _done, _all: None) -> RemovalSummary:
    """Deletes a feed and its ledger, a page at a time; after an interruption, call it again. Raises OperationRefused.

    It holds the server's lease, so that no loader loads the feed; `progress` gets the numbers of rows that are done, and of all.
    """
    summary = removal_summary(feed, db)
    lease = Lease(feed.server, db, settings.HOST_NAME)
    until = monotonic() + LEASE_WAIT
    while not lease.acquire():
        if monotonic() > until:
            raise OperationRefused(
                f"{lease.server} is being fed by {lease.owner()}. Stop it or pause its feeds, then retry."
            )
        time.sleep(0.5)
    try:
        _close_open(feed, db)
        done = 0

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            lease.heartbeat()
            progress(done, summary.objects + summary.attempts + summary.loads)

        _release(LoadAttempt.objects.using(db).filter(feed=feed), count, feed=None, bucket_object=None)
        _release(BatchLoad.objects.using(db).filter(feed=feed), count, feed=None)
        objects = BucketObject.objects.using(db).filter(feed=feed)
        while keys := list(objects.order_by("pk").values_list("pk", flat=True)[:PAGE_SIZE]):
            objects.filter(pk__in=keys).delete()
            count(len(keys))
        Feed.objects.using(db).filter(pk=feed.pk).delete()
    finally:
        lease.release()
    return summary


def _close_open(feed: Feed, db: str) -> None:
    """Closes open attempts, once their requests can have no effect any more (promise 4)."""
    rows = LoadAttempt.objects.using(db).filter(feed=feed, outcome=AttemptOutcome.OPEN)
    sent = rows.filter(insert_start_time__isnull=False)
    last = sent.order_by("-insert_start_time").values_list("insert_start_time", flat=True).first()
    left = (
        last + timedelta(seconds=settings.FN4_INSERT_DEADLINE) - DatabaseClock(feed.server, db).now() if last else None
    )
    if left and left > timedelta(0):
        raise OperationRefused(
            f"{feed.server} may still be working on an insert of this feed. Retry in {left.total_seconds():.0f} s."
        )
    sent.update(outcome=AttemptOutcome.FAILED, completed=0, message=REMOVED_MESSAGE)
    rows.update(outcome=AttemptOutcome.NOT_SENT, completed=0)


def _release(rows: models.QuerySet[Any], count: Callable[[int], None], **columns: None) -> None:
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:PAGE_SIZE]):
        rows.model._default_manager.using(rows.db).filter(pk__in=keys).update(**columns)  # noqa: SLF001 - documented by Django
        count(len(keys))
