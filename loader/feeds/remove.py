"""Removes a feed: its ledger goes, what was tried and looked at stays."""

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

PAGE = 1000
LEASE_WAIT = 10.0
UNKNOWN = "the feed was removed, and the server was not asked what became of this"


@dataclass(frozen=True)
class RemovalSummary:
    """What goes with a feed (objects), and what stays without one (attempts, loads)."""

    objects: int
    attempts: int
    loads: int


def removal_summary(feed: Feed, db: str) -> RemovalSummary:
    """Counts it; changes nothing."""
    return RemovalSummary(
        BucketObject.objects.using(db).filter(feed=feed).count(),
        LoadAttempt.objects.using(db).filter(feed=feed).count(),
        BatchLoad.objects.using(db).filter(feed=feed).count(),
    )


def remove_feed(feed: Feed, db: str, tick: Callable[[int, int], None] = lambda _done, _all: None) -> RemovalSummary:
    """Deletes the ledger of a feed and the feed, a page at a time; cut off, the next call goes on. Raises OperationRefused.

    It holds the server's lease meanwhile, so that nobody loads the feed; `tick` is told how many of how many rows are done.
    """
    going = removal_summary(feed, db)
    lease = Lease(feed.server, db, settings.HOST_NAME)
    _acquire(lease)
    try:
        _close_open(feed, db)
        done = 0

        def progress(rows: int) -> None:
            nonlocal done
            done += rows
            lease.beat()
            tick(done, going.objects + going.attempts + going.loads)

        _release(LoadAttempt.objects.using(db).filter(feed=feed), progress, feed=None, bucket_object=None)
        _release(BatchLoad.objects.using(db).filter(feed=feed), progress, feed=None)
        objects = BucketObject.objects.using(db).filter(feed=feed)
        while keys := list(objects.order_by("pk").values_list("pk", flat=True)[:PAGE]):
            objects.filter(pk__in=keys).delete()
            progress(len(keys))
        Feed.objects.using(db).filter(pk=feed.pk).delete()
    finally:
        lease.release()
    return going


def _acquire(lease: Lease) -> None:
    until = monotonic() + LEASE_WAIT
    while not lease.acquire():
        if monotonic() > until:
            raise OperationRefused(
                f"{lease.server} is being fed by {lease.owner()}: pause its feeds, or stop it, and try again."
            )
        time.sleep(0.5)


def _close_open(feed: Feed, db: str) -> None:
    """Attempts that nobody will settle any more end as failed, once nothing can come of their requests (promise 4)."""
    rows = LoadAttempt.objects.using(db).filter(feed=feed, outcome=AttemptOutcome.OPEN)
    sent = rows.filter(insert_start_time__isnull=False)
    last = sent.order_by("-insert_start_time").values_list("insert_start_time", flat=True).first()
    left = (
        last + timedelta(seconds=settings.FN4_INSERT_DEADLINE) - DatabaseClock(feed.server, db).now() if last else None
    )
    if left and left > timedelta(0):
        raise OperationRefused(
            f"{feed.server} may still be working on an insert of this feed: try again in {left.total_seconds():.0f} s."
        )
    sent.update(outcome=AttemptOutcome.FAILED, completed=0, message=UNKNOWN)
    rows.update(outcome=AttemptOutcome.NOT_SENT, completed=0)


def _release(rows: models.QuerySet[Any], progress: Callable[[int], None], **columns: None) -> None:
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:PAGE]):
        rows.model._default_manager.using(rows.db).filter(pk__in=keys).update(**columns)  # noqa: SLF001 - Django's way
        progress(len(keys))
