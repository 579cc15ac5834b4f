"""What is left of a batch in its bucket, object by object and decoded: `batch objects`, and what `batch clear` deletes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.utils import timezone

from batches.keys import KeyMatcher, decode, prefix
from batches.models import Batch
from batches.store import key_base, store_url
from core.files import Writable
from objectstores import Store, open_store

SHOWN = 20
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

    def age(self, now: datetime) -> int | None:
        """Seconds since it was put; None where the store does not say."""
        return max(0, round((now - self.created).total_seconds())) if self.created else None

    def cells(self, now: datetime) -> list[object]:
        """As COLUMNS name them."""
        created = self.created and self.created.isoformat(timespec="seconds")
        return [self.identifier, self.path, self.action, self.size, created, self.age(now), self.key]


@dataclass
class RemainingSummary:
    """What is left, in numbers and a few examples."""

    store: str
    number: int = 0
    size: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    examples: list[RemainingObject] = field(default_factory=list)

    def take(self, one: RemainingObject) -> None:
        """Counts one more."""
        self.number += 1
        self.size += one.size
        if len(self.examples) < SHOWN:
            self.examples.append(one)
        if one.created:
            self.oldest = min(self.oldest or one.created, one.created)
            self.newest = max(self.newest or one.created, one.created)


def remaining_objects(store: Store, bid: str) -> Iterator[RemainingObject]:
    """This batch's own objects in byte order of their keys, a page in memory at a time; those of others, and what is no key,
    are left out. Raises what the listing raises."""
    owner, start = KeyMatcher(bid).classify, len(key_base(store.url))
    for one in store.list(prefix(bid)):
        key = one.name[start:]
        if owner(key) == "own":
            parts = decode(key)
            yield RemainingObject(key, parts.path, parts.identifier, parts.action, one.size, one.created)


def objects_of(batch: Batch) -> Iterator[RemainingObject]:
    """The same, from the batch's own store. Raises OperationRefused when nobody knows which that is."""
    with closing(open_store(store_url(batch))) as store:
        yield from remaining_objects(store, batch.bid)


def summary(batch: Batch, most: int | None = None) -> RemainingSummary:
    """How many are left, and the first of them; with `most`, so many are looked at and no more.

    Raises OperationRefused, and StoreError unless the listing is complete.
    """
    with closing(open_store(store_url(batch))) as store:
        found = RemainingSummary(store.url)
        for one in islice(remaining_objects(store, batch.bid), most):
            found.take(one)
    return found


def write_csv(file: Writable, left: Iterable[RemainingObject]) -> int:
    """Writes a header and a line for each; returns how many."""
    writer, now, number = csv.writer(file, lineterminator="\n"), timezone.now(), 0
    writer.writerow(COLUMNS)
    for one in left:
        writer.writerow(one.cells(now))
        number += 1
    return number
