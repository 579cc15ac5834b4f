"""The remaining objects of a batch in its bucket, decoded: what `batch objects` lists and `batch clear` deletes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.utils import timezone

from batches.keys import KeyMatcher, decode, digest, prefix
from batches.models import Batch, BatchRecord
from batches.querysets import OBJECT_IS_RETRIED
from batches.store import key_base, store_url
from core.files import CsvWriter, Writable
from core.temporary import in_pages
from objectstores import Store, open_store

MAX_EXAMPLES = 20
GROUP_SIZE = 500
COLUMNS = ("identifier", "path", "action", "size", "created", "age_seconds", "key")


class RemainingObject(NamedTuple):
    """One object of the batch that is in the bucket."""

    key: str
    """Its name, without the prefix of the store's URL."""
    path: str
    identifier: str
    action: str
    size: int
    created: datetime | None

    def cells(self, now: datetime) -> list[object]:
        """One cell for each of COLUMNS."""
        created = self.created and self.created.isoformat(timespec="seconds")
        age = max(0, round((now - self.created).total_seconds())) if self.created else None
        return [self.identifier, self.path, self.action, self.size, created, age, self.key]


@dataclass
class RemainingSummary:
    """How many objects remain, and a few examples."""

    store: str
    number: int = 0
    size: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    examples: list[RemainingObject] = field(default_factory=list)

    def add(self, item: RemainingObject) -> None:
        """Counts one more."""
        self.number += 1
        self.size += item.size
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(item)
        if item.created:
            self.oldest = min(self.oldest or item.created, item.created)
            self.newest = max(self.newest or item.created, item.created)


def remaining_objects(store: Store, bid: str) -> Iterator[RemainingObject]:
    """The batch's own objects in byte order of their keys, a page in memory at a time; objects of other batches and names that
    are not keys are left out. Raises what the listing raises."""
    classify, start = KeyMatcher(bid).classify, len(key_base(store.url))
    for entry in store.list(prefix(bid)):
        key = entry.name[start:]
        if classify(key) == "own":
            parts = decode(key)
            yield RemainingObject(key, parts.path, parts.identifier, parts.action, entry.size, entry.created)


def retried_objects(store: Store, batch: Batch) -> Iterator[RemainingObject]:
    """Of them, those of records that are tried again and again."""
    for group in in_pages(remaining_objects(store, batch.bid), GROUP_SIZE):
        digests = {digest(item.key): item for item in group}
        records = BatchRecord.objects.filter(batch=batch, key_digest__in=digests, retry_sign__isnull=False)
        wanted = set(records.values_list("key_digest", flat=True))
        yield from (item for one, item in digests.items() if one in wanted)


def forget_retried(batch: Batch) -> None:
    """After a complete listing without such objects: none is in the bucket. That they were there stays on the records."""
    BatchRecord.objects.filter(OBJECT_IS_RETRIED, batch=batch).update(retry_seen_at=None)


def remaining_objects_of(batch: Batch, *, retried: bool = False) -> Iterator[RemainingObject]:
    """The same, all or only those that are retried, from the batch's own store. Raises OperationRefused if that is not known."""
    with closing(open_store(store_url(batch))) as store:
        yield from retried_objects(store, batch) if retried else remaining_objects(store, batch.bid)


def summarize_remaining(batch: Batch, limit: int | None = None, *, retried: bool = False) -> RemainingSummary:
    """How many objects remain, or only of those that are retried, and the first of them; with `limit`, stops after that many.

    Raises OperationRefused, and StoreError unless the listing is complete.
    """
    with closing(open_store(store_url(batch))) as store:
        summary = RemainingSummary(store.url)
        objects = retried_objects(store, batch) if retried else remaining_objects(store, batch.bid)
        for item in islice(objects, limit):
            summary.add(item)
    return summary


def write_csv(file: Writable, objects: Iterable[RemainingObject]) -> int:
    """Writes a header and a line for each object; returns how many."""
    writer, now, number = CsvWriter(file), timezone.now(), 0
    writer.writerow(COLUMNS)
    for item in objects:
        writer.writerow(item.cells(now))
        number += 1
    return number
