"""The queue: the objects that are due, earliest first, and their batch load."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q, QuerySet

from core.temporary import in_pages
from loader.choices import ObjectState
from loader.ledger.scan import PAGE_SIZE, ScanResult
from loader.models import BatchLoad, BucketObject, Feed, LoadAttempt


def due(feed: Feed, db: str, at: datetime) -> Iterator[BucketObject]:
    """A feed's waiting objects that are due at that time, earliest created first, read a page at a time.

    Those that a loader was reading when its process ended come last, and the latest of them first: one was the reason, and
    more likely one that was read than one that was to follow (pipeline/read_marks.py).
    """
    rows = _due(feed, db, at).filter(read_since__isnull=True).order_by("created", "id")
    after = Q()
    while page := list(rows.filter(after)[:PAGE_SIZE]):
        yield from page
        last = page[-1]
        after = Q(created__gt=last.created) | Q(created=last.created, id__gt=last.pk)
    # One process marks a page at most, but several may have ended, one after the other.
    suspects = _due(feed, db, at).filter(read_since__lt=at)
    keys = list(suspects.order_by("tries", "-created", "-id").values_list("pk", flat=True))
    for some in in_pages(keys, PAGE_SIZE):
        found = suspects.in_bulk(some)
        yield from (found[key] for key in some if key in found)


def count_due(feed: Feed, db: str, at: datetime) -> int:
    """The number of objects that are due."""
    return _due(feed, db, at).count()


def new_batch(feed: Feed, scanned: ScanResult, db: str, host: str, at: datetime, in_server: int | None) -> BatchLoad:
    """The row of one scan, also when nothing is due (domain.md 4)."""
    return BatchLoad.objects.using(db).create(
        host_name=host,
        findneighbour_server_url=feed.server.url,
        check_time=at,
        batch_size=count_due(feed, db, at),
        number_in_server=in_server,
        feed=feed,
        listed=scanned.listed,
        ignored=scanned.ignored,
        found=scanned.found,
    )


def unfinished(feed: Feed, db: str) -> BatchLoad | None:
    """The feed's last batch, if some of it has not been tried."""
    last = BatchLoad.objects.using(db).filter(feed=feed).order_by("-bl_int_id").first()
    return last if last and last.finished is None and last.batch_size else None


def last_place(batch: BatchLoad, db: str) -> int:
    """The place of the last attempt of the batch."""
    return LoadAttempt.objects.using(db).filter(batch_load=batch).count()


def _due(feed: Feed, db: str, at: datetime) -> QuerySet[BucketObject]:
    return BucketObject.objects.using(db).filter(
        Q(not_before__isnull=True) | Q(not_before__lte=at), feed=feed, state=ObjectState.WAITING, first_seen__lte=at
    )
