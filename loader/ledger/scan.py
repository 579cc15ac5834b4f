"""Scans a feed's bucket: merges the listing with the ledger, a page at a time, in flat memory.

Names are looked up by a digest of fixed length, never merged by order: databases sort differently (traps.md).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.models import Max, Q, QuerySet

from core.digests import digest
from core.due import CLOCK_TOLERANCE
from core.temporary import in_pages
from loader.choices import ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.coordination.write_lock import locked_transaction
from loader.ledger.adopted import old_results
from loader.ledger.back_off import longest_back_off
from loader.ledger.left_out import LeftOut
from loader.models import BucketObject, Feed
from loader.models.feeds import NAME_LENGTH
from objectstores.base import Store, StoredObject

PAGE_SIZE = 1000
ANALYZE_AFTER = 5000
ETAG_LENGTH, MD5_LENGTH, SEQID_LENGTH, MAX_SIZE = 255, 32, 255, 2**63 - 1
"""What the columns hold; a store may list anything."""
GONE_REASON = "deleted or replaced in the bucket before it was loaded, or left out by the feed's endings"


@dataclass
class ScanResult:
    """What one complete listing of a bucket showed, in numbers."""

    listed: int = 0
    ignored: int = 0
    found: int = 0
    gone: int = 0


def scan(feed: Feed, store: Store, db: str, clock: DatabaseClock, heartbeat: Callable[[], None]) -> ScanResult:
    """Lists the whole bucket and writes a row for each unknown version of a FASTA file.

    An unchanged bucket costs no write. What was waiting and is no longer listed is gone. Raises StoreError if the listing
    is incomplete; the rows written so far are correct and stay.
    """
    result, started, waiting, analyze_at = ScanResult(), clock.now(), array("q"), ANALYZE_AFTER
    _bring_back(BucketObject.objects.using(db).filter(feed=feed, state=ObjectState.WAITING), started)
    names, left_out = feed.name_rules, LeftOut()
    listing = store.list(on_page=heartbeat)
    for page in in_pages(listing, PAGE_SIZE):
        heartbeat()
        files = [item for item in page if names.is_fasta(item.name)]
        result.listed += len(page)
        result.ignored += len(page) - len(files)
        if len(files) < len(page):
            left_out.add(item.name for item in page if not names.is_fasta(item.name))
        result.found += _merge(feed, files, waiting, db, clock.now())
        if result.found >= analyze_at:
            # PostgreSQL reads all rows of a feed for each look-up until its statistics are current: that may take a minute.
            if connections[db].vendor == "postgresql":
                with connections[db].cursor() as cursor:
                    cursor.execute("ANALYZE loader_bucketobject")
            analyze_at *= 4
    result.gone = _mark_gone(feed, waiting, started, db, clock.now())
    Feed.objects.using(db).filter(pk=feed.pk).update(checked_at=clock.now(), left_out=left_out.counts())
    return result


def _bring_back(waiting: QuerySet[BucketObject], now: datetime) -> None:
    """After a clock was set back: what was first seen, or read, in the future was so now, and no try is later than its delay."""
    latest = now + CLOCK_TOLERANCE
    if not waiting.filter(Q(first_seen__gt=latest) | Q(read_since__gt=latest) | Q(not_before__gt=latest)).exists():
        return
    for column in ("first_seen", "read_since"):
        wrong = waiting.filter(**{f"{column}__gt": latest})
        if wrong.exists():
            wrong.update(**{column: now})
    later = waiting.filter(not_before__gt=latest).order_by()
    for tries, last in list(later.values_list("tries").annotate(last=Max("not_before"))):
        longest = latest + timedelta(seconds=longest_back_off(tries))
        if last > longest:
            later.filter(tries=tries, not_before__gt=longest).update(not_before=now)


def _merge(feed: Feed, files: list[StoredObject], waiting: array[int], db: str, now: datetime) -> int:
    """Adds rows for unknown versions and returns their number; adds the keys of known rows that wait to `waiting`."""
    versions = {digest(item.name, item.etag): item for item in files}
    if not versions:
        return 0
    # In most scans nothing is to be done for a page: one number comes back instead of a thousand rows.
    ((number,),) = _select(feed, versions, db, "COUNT(CASE WHEN state NOT IN ('waiting', 'gone') THEN 1 END)")
    if number == len(versions):
        return 0
    returned = []
    for version, state, key in _select(feed, versions, db, "version, state, id"):
        del versions[version]
        if state == ObjectState.WAITING:
            waiting.append(key)
        elif state == ObjectState.GONE:
            returned.append(key)
    if returned:
        rows = BucketObject.objects.using(db).filter(pk__in=returned)
        rows.update(state=ObjectState.WAITING, reason="", done_at=None, first_seen=now)
    if versions:
        _insert_new(feed, versions, db, now)
    return len(versions)


def _select(feed: Feed, versions: Collection[str], db: str, columns: str) -> list[tuple[Any, ...]]:
    """Plain SQL: Django takes three times as long to write it."""
    places = ", ".join(["%s"] * len(versions))
    with connections[db].cursor() as cursor:
        cursor.execute(
            f"SELECT {columns} FROM loader_bucketobject WHERE feed_id = %s AND version IN ({places})",  # noqa: S608
            [feed.pk, *versions],
        )
        return list(cursor.fetchall())


def _insert_new(feed: Feed, versions: dict[str, StoredObject], db: str, now: datetime) -> None:
    """Adds a row for each version, all or none. They wait, unless an older loader completed them.

    A name or an etag that no row holds is stored as far as it goes: its version tells, and it is not read
    (pipeline/prefetch.py).
    """
    names, connection = feed.name_rules, connections[db]
    done = old_results(feed, versions.values(), db)
    if done:
        # A new version of a name that is in our ledger is loaded (domain.md 4).
        ledger = BucketObject.objects.using(db).filter(feed=feed, name__in=list(done))
        for name in ledger.values_list("name", flat=True):
            done.pop(name, None)
    # Django's bulk_create takes ten times as long to write the same statement.
    fields = BucketObject._meta.local_concrete_fields  # noqa: SLF001 - Django documents it
    blank: dict[str, Any] = {str(field.column): field.get_default() for field in fields if not field.primary_key}
    write_time = connection.ops.adapt_datetimefield_value
    at = write_time(now)
    blank |= {"feed_id": feed.pk, "first_seen": at, "state": ObjectState.WAITING.value}
    rows = []
    for version, item in versions.items():
        row = blank | {
            "name": item.name[:NAME_LENGTH],
            "version": version,
            "etag": item.etag[:ETAG_LENGTH],
            "size": min(max(item.size, 0), MAX_SIZE),
            "md5": item.md5 if item.md5 and len(item.md5) == MD5_LENGTH else "",
            "created": write_time(_in_range(item.created)) if item.created else at,
            "seqid": names.sample_id(item.name)[:SEQID_LENGTH],
        }
        if item.name in done:
            row |= done[item.name].columns | {"done_at": at}
        rows.append(tuple(row.values()))
    columns, places = ", ".join(map(connection.ops.quote_name, blank)), ", ".join(["%s"] * len(blank))
    with locked_transaction(db), connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO loader_bucketobject ({columns}) VALUES ({places})", rows)  # noqa: S608


def _in_range(created: datetime) -> datetime:
    """The time in UTC, at most the first or the last that every database stores."""
    try:
        return created.astimezone(UTC)
    except OverflowError:
        return datetime(1 if created.year == 1 else 9999, 1, 1, tzinfo=UTC)


def _mark_gone(feed: Feed, listed: array[int], before: datetime, db: str, now: datetime) -> int:
    """Marks what waited before the listing began and was not in it. Takes 8 bytes of memory for each waiting object."""
    rows = BucketObject.objects.using(db).filter(feed=feed, state=ObjectState.WAITING, first_seen__lt=before)
    if rows.count() == len(listed):
        return 0
    seen, gone, last = set(listed), 0, 0
    while page := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:PAGE_SIZE]):
        missing = [pk for pk in page if pk not in seen]
        gone += (
            rows.filter(pk__in=missing).update(state=ObjectState.GONE, reason=GONE_REASON, done_at=now)
            if missing
            else 0
        )
        last = page[-1]
    return gone
