"""Rejected files, and samples with unproven links: acknowledge them; retry rejected ones, undo rejections by a wrong server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from core.formatting import pluralize
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.feeds.manage import clear_shrunk
from loader.models import BucketObject, Feed, LoadAttempt

PAGE_SIZE = 500
# A scan in progress may have passed the file while it was not waiting: `first_seen` keeps it from being marked as gone.
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
    """Numbers of files that will be retried."""

    rejected: int
    """Rejections that were undone."""
    postponed: int
    """Delays that were ended."""


@dataclass(frozen=True)
class AcknowledgeSummary:
    """Numbers of files that nobody is warned about any more."""

    rejected: int
    unproven: int
    """Samples that are stored with unproven links."""

    def __str__(self) -> str:
        texts = [pluralize(self.rejected, "rejected file")]
        if self.unproven:
            texts.append(f"{pluralize(self.unproven, 'sample')} with unproven links")
        return " and ".join(texts)


UNPROVEN = Q(result=LoadResult.UNPROVEN)
"""By its own small index: a condition on the state would lead some databases through all that is loaded."""


def retry(
    feed: Feed, db: str, *, reason: str = "", since: datetime | None = None, dry_run: bool = False
) -> RetrySummary:
    """Undoes rejections of a feed, those that contain `reason` and were made after `since`, and ends delays.

    `since` applies to rejections only. The attempts stay, as not completed.
    """
    objects = BucketObject.objects.using(db).filter(feed=feed, reason__icontains=reason)
    rejected = objects.filter(Q(done_at__gte=since) if since else Q(), state=ObjectState.REJECTED)
    waiting = objects.filter(state=ObjectState.WAITING, not_before__isnull=False)
    if dry_run:
        return RetrySummary(rejected.count(), waiting.count())
    return RetrySummary(undo(rejected, db), waiting.update(not_before=None, tries=0))


def retry_files(objects: QuerySet[BucketObject], db: str = "default") -> int:
    """The same for chosen files. Returns their number."""
    waiting = objects.filter(state=ObjectState.WAITING, not_before__isnull=False)
    return undo(objects.filter(state=ObjectState.REJECTED), db) + waiting.update(not_before=None, tries=0)


def acknowledge(feed: Feed, db: str, *, dry_run: bool = False) -> AcknowledgeSummary:
    """Ends the concerns about the rejected files of a feed, about its unproven links, and about a server that holds fewer
    samples than before. All stays as it is."""
    rows = BucketObject.objects.using(db).filter(feed=feed, acknowledged_at=None)
    # One after the other, each by its own index.
    kinds = rows.filter(state=ObjectState.REJECTED), rows.filter(UNPROVEN)
    numbers = (kind.count() if dry_run else kind.update(acknowledged_at=Now()) for kind in kinds)
    if not dry_run:
        clear_shrunk(feed, db)
    return AcknowledgeSummary(*numbers)


def acknowledge_files(objects: QuerySet[BucketObject]) -> int:
    """The same for chosen files. Returns their number."""
    warned_about = Q(state=ObjectState.REJECTED) | UNPROVEN
    return objects.filter(warned_about, acknowledged_at=None).update(acknowledged_at=Now())


def undo(objects: QuerySet[BucketObject], db: str) -> int:
    """Resets rejected objects to waiting, and their attempts to not completed, a page in each transaction."""
    rejected = objects.filter(state=ObjectState.REJECTED)
    count = last = 0
    while keys := list(rejected.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE_SIZE]):
        last = keys[-1]
        with transaction.atomic(using=db):
            rows = BucketObject.objects.using(db).filter(pk__in=keys, state=ObjectState.REJECTED)
            count += rows.update(**RESET_TO_WAITING)
            attempts = LoadAttempt.objects.using(db).filter(bucket_object__in=keys, outcome=AttemptOutcome.REJECTED)
            attempts.update(completed=0)
    return count
