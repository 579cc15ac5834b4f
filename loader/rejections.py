"""Rejected files: taken note of, tried again in bulk, and taken back when it was the server that was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from loader.feeds import pause
from loader.models import BucketObject, Feed, LoadAttempt, Outcome, State

PAGE = 500
# A listing that is under way may have passed the file while it was not waiting: seen now, it is not taken for gone.
AGAIN: dict[str, Any] = {
    "state": State.WAITING,
    "reason": "",
    "done_at": None,
    "tries": 0,
    "not_before": None,
    "acknowledged_at": None,
    "first_seen": Now(),
}


@dataclass(frozen=True)
class Retried:
    """How many files are to be tried again."""

    rejected: int
    """Their rejection was undone."""
    postponed: int
    """They waited for a later try, and are tried at once."""


def retry(feed: Feed, db: str, *, reason: str = "", since: datetime | None = None, dry_run: bool = False) -> Retried:
    """Undoes rejections of a feed whose reason holds that text and that were made since then, and ends back-offs.

    `since` chooses rejections only: what waits is tried at once whenever it failed. The attempts stay, as not completed.
    """
    ours = BucketObject.objects.using(db).filter(feed=feed, reason__icontains=reason)
    rejected = ours.filter(Q(done_at__gte=since) if since else Q(), state=State.REJECTED)
    waiting = ours.filter(state=State.WAITING, not_before__isnull=False)
    if dry_run:
        return Retried(rejected.count(), waiting.count())
    return Retried(undo(rejected, db), waiting.update(not_before=None, tries=0))


def try_again(objects: QuerySet[BucketObject], db: str = "default") -> int:
    """The same for single files that somebody chose: rejected ones, and those that wait. Returns how many."""
    waiting = objects.filter(state=State.WAITING, not_before__isnull=False)
    return undo(objects.filter(state=State.REJECTED), db) + waiting.update(not_before=None, tries=0)


def acknowledge(feed: Feed, db: str, *, dry_run: bool = False) -> int:
    """Somebody took note of the rejected files of a feed: they are no concern any more. Returns how many."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state=State.REJECTED, acknowledged_at=None)
    return rows.count() if dry_run else rows.update(acknowledged_at=Now())


def accept(objects: QuerySet[BucketObject]) -> int:
    """The same for single files that somebody chose. Returns how many."""
    return objects.filter(state=State.REJECTED, acknowledged_at=None).update(acknowledged_at=Now())


def undo(objects: QuerySet[BucketObject], db: str) -> int:
    """Puts rejected objects back to waiting, a page a transaction, and marks their attempts as not completed."""
    count = 0
    for keys in _pages(objects.filter(state=State.REJECTED)):
        with transaction.atomic(using=db):
            count += BucketObject.objects.using(db).filter(pk__in=keys, state=State.REJECTED).update(**AGAIN)
            attempts = LoadAttempt.objects.using(db).filter(bucket_object__in=keys, outcome=Outcome.REJECTED)
            attempts.update(completed=0)
    return count


def _pages(objects: QuerySet[BucketObject]) -> Iterator[list[int]]:
    last = 0
    while keys := list(objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        last = keys[-1]
        yield keys


class Refusals:
    """Counts how often in a row a server refused samples of a feed; too often, and it is the server that is wrong.

    The count is kept in the feed's row, so that it goes on from run to run. Its user holds the server's lease.
    """

    def __init__(self, feed: Feed, db: str) -> None:
        self._feed = Feed.objects.using(db).filter(pk=feed.pk)
        self._db = db
        self.in_row, self.limit = self._feed.values_list("refusals_in_row", "refusals_limit").get()

    def success(self) -> None:
        """A sample is in the server."""
        if self.in_row:
            self._count(0)

    def refused(self, text: str) -> str:
        """The server refused a sample with that text. Returns why the feed is paused now, or nothing.

        When it is paused, none of these files stays rejected: they wait for the right server.
        """
        self._count(self.in_row + 1)
        if not self.limit or self.in_row < self.limit:
            return ""
        why = f"The server refused {self.in_row} samples in a row: is it the right one? The last time it said: {text}"
        pause(self._feed, why)
        sent = LoadAttempt.objects.using(self._db).filter(
            feed=self._feed.get(), outcome=Outcome.REJECTED, insert_start_time__isnull=False
        )
        last = list(sent.order_by("-gp_int_id").values_list("bucket_object", flat=True)[: self.in_row])
        undo(BucketObject.objects.using(self._db).filter(pk__in=last), self._db)
        self._count(0)
        return why

    def _count(self, in_row: int) -> None:
        self.in_row = in_row
        self._feed.update(refusals_in_row=in_row)
