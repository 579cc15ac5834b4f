"""The ledger of a feed's bucket: what a listing shows is merged with what is known, a page at a time, in flat memory.

Names are looked up by a digest of fixed length, never merged by order: databases do not agree on order (traps.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connections

from core.digests import digest
from loader.choices import ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.fasta.parser import SUFFIX
from loader.ledger import new_objects
from loader.models import BucketObject, Feed
from objectstores.base import Store, StoredObject

PAGE = 1000
STATISTICS_AT = 5000
TO_COME = timedelta(minutes=1)
LEFT = "it left the bucket, or was replaced, before it was loaded"


@dataclass
class ScanResult:
    """What one complete listing of a bucket showed."""

    listed: int = 0
    ignored: int = 0
    found: int = 0
    gone: int = 0


def scan(feed: Feed, store: Store, db: str, clock: DatabaseClock, beat: Callable[[], None]) -> ScanResult:
    """Lists the whole bucket and writes a row for each version of a FASTA file that was not known.

    A known bucket costs no write. What was waiting and is not listed any more is gone. Raises StoreError when the listing
    did not come to its end; rows written until then are true and stay.
    """
    analysis, started, waiting, count_at = ScanResult(), clock.now(), array("q"), STATISTICS_AT
    _correct_times(feed, started, db)
    listing = store.list()
    while page := list(islice(listing, PAGE)):
        beat()
        files = [item for item in page if SUFFIX.search(item.name)]
        analysis.listed += len(page)
        analysis.ignored += len(page) - len(files)
        analysis.found += _merge(feed, files, waiting, db, clock.now())
        if analysis.found >= count_at:
            _refresh_statistics(db)
            count_at *= 4
    analysis.gone = _mark_gone(feed, waiting, started, db, clock.now())
    Feed.objects.using(db).filter(pk=feed.pk).update(checked_at=clock.now())
    return analysis


def _merge(feed: Feed, files: list[StoredObject], waiting: array[int], db: str, now: datetime) -> int:
    """Adds rows for what is not known, and returns how many; notes in `waiting` which rows are known and wait."""
    versions = {digest(item.name, item.etag): item for item in files}
    if not versions or _all_done(feed, list(versions), db):
        return 0
    back = []
    for version, state, pk in _known(feed, list(versions), db):
        del versions[version]
        if state == ObjectState.WAITING:
            waiting.append(pk)
        elif state == ObjectState.GONE:
            back.append(pk)
    if back:
        # What went away and came back unchanged is a sample all the same.
        rows = BucketObject.objects.using(db).filter(pk__in=back)
        rows.update(state=ObjectState.WAITING, reason="", done_at=None, first_seen=now)
    if not versions:
        return 0
    new_objects.insert_new_objects(feed, versions, db, now)
    return len(versions)


def _known(feed: Feed, versions: list[str], db: str) -> list[tuple[str, str, int]]:
    """Version, state and key of those that have a row."""
    return _ask(feed, versions, db, "version, state, id")


def _all_done(feed: Feed, versions: list[str], db: str) -> bool:
    """Whether all have a row, and none of them waits or is gone: nothing is to be done for such a page.

    One number comes back instead of a thousand rows, of which Python would make tuples.
    """
    ((number,),) = _ask(feed, versions, db, "COUNT(CASE WHEN state NOT IN ('waiting', 'gone') THEN 1 END)")
    return bool(number == len(versions))


def _ask(feed: Feed, versions: list[str], db: str, what: str) -> list[tuple[Any, ...]]:
    """Plain SQL: Django takes three times as long to write it."""
    places = ", ".join(["%s"] * len(versions))
    with connections[db].cursor() as cursor:
        cursor.execute(
            f"SELECT {what} FROM loader_bucketobject WHERE feed_id = %s AND version IN ({places})",  # noqa: S608
            [feed.pk, *versions],
        )
        return list(cursor.fetchall())


def _correct_times(feed: Feed, now: datetime, db: str) -> None:
    """After a clock was set back: what waits and was seen first at a time still to come was seen now, and is due."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state=ObjectState.WAITING, first_seen__gt=now + TO_COME)
    if rows.exists():
        rows.update(first_seen=now)


def _refresh_statistics(db: str) -> None:
    """PostgreSQL reads all rows of a feed for each look-up until it knows how many there are; it counts once a minute."""
    if connections[db].vendor == "postgresql":
        with connections[db].cursor() as cursor:
            cursor.execute("ANALYZE loader_bucketobject")


def _mark_gone(feed: Feed, listed: array[int], before: datetime, db: str, now: datetime) -> int:
    """Marks what waited before the listing began and was not in it; 8 bytes a waiting object are held for that."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state=ObjectState.WAITING, first_seen__lt=before)
    if rows.count() == len(listed):
        return 0
    seen, gone, last = set(listed), 0, 0
    while page := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE]):
        missing = [pk for pk in page if pk not in seen]
        gone += rows.filter(pk__in=missing).update(state=ObjectState.GONE, reason=LEFT, done_at=now) if missing else 0
        last = page[-1]
    return gone
