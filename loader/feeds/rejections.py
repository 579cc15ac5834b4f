"""Rejected files: taken note of, tried again in bulk, and taken back when it was the server that was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt

PAGE = 500
# A listing that is under way may have passed the file while it was not waiting: seen now, it is not taken for gone.
RESET_TO_WAITING: dict[str, Any] = {
    "state": ObjectState.WAITING,
    "reason": "",
    "done_at": None,
    "tries": 0,
    "not_before": None,
    "acknowledged_at": None,
    "first_seen": Now(),
}


@dataclass(frozen=True)
class RetrySummary:
    """How many files are to be tried again."""

    rejected: int
    """Their rejection was undone."""
    postponed: int
    """They waited for a later try, and are tried at once."""


def retry(
    feed: Feed, db: str, *, reason: str = "", since: datetime | None = None, dry_run: bool = False
) -> RetrySummary:
    """Undoes rejections of a feed whose reason holds that text and that were made since then, and ends back-offs.

    `since` chooses rejections only: what waits is tried at once whenever it failed. The attempts stay, as not completed.
    """
    ours = BucketObject.objects.using(db).filter(feed=feed, reason__icontains=reason)
    rejected = ours.filter(Q(done_at__gte=since) if since else Q(), state=ObjectState.REJECTED)
    waiting = ours.filter(state=ObjectState.WAITING, not_before__isnull=False)
    if dry_run:
        return RetrySummary(rejected.count(), waiting.count())
    return RetrySummary(undo(rejected, db), waiting.update(not_before=None, tries=0))


def try_again(objects: QuerySet[BucketObject], db: str = "default") -> int:
    """The same for single files that somebody chose: rejected ones, and those that wait. Returns how many."""
    waiting = objects.filter(state=ObjectState.WAITING, not_before__isnull=False)
    return undo(objects.filter(state=ObjectState.REJECTED), db) + waiting.update(not_before=None, tries=0)


def acknowledge(feed: Feed, db: str, *, dry_run: bool = False) -> int:
    """Somebody took note of the rejected files of a feed: they are no concern any more. Returns how many."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state=ObjectState.REJECTED, acknowledged_at=None)
    return rows.count() if dry_run else rows.update(acknowledged_at=Now())


def accept(objects: QuerySet[BucketObject]) -> int:
    """The same for single files that somebody chose. Returns how many."""
    return objects.filter(state=ObjectState.REJECTED, acknowledged_at=None).update(acknowledged_at=Now())


def undo(objects: QuerySet[BucketObject], db: str) -> int:
    """Puts rejected objects back to waiting, a page a transaction, and marks their attempts as not completed."""
    count = 0
    for keys in _pages(objects.filter(state=ObjectState.REJECTED)):
        with transaction.atomic(using=db):
            count += (
                BucketObject.objects.using(db)
                .filter(pk__in=keys, state=ObjectState.REJECTED)
                .update(**RESET_TO_WAITING)
            )
            attempts = LoadAttempt.objects.using(db).filter(bucket_object__in=keys, outcome=AttemptOutcome.REJECTED)
            attempts.update(completed=0)
    return count


def _pages(objects: QuerySet[BucketObject]) -> Iterator[list[int]]:
    last = 0
    while keys := list(objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        last = keys[-1]
        yield keys
