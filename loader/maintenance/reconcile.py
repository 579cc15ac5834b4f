"""Compares what a bucket holds, what the ledger says, and what the server holds, whatever their size in flat memory.

Ids and versions are kept in a temporary SQLite file, never in sets. The server is read first: what the ledger calls loaded
since then is not compared, so that a loader may run meanwhile.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.db.models import Q

from core.digests import digest
from loader.choices import FindingKind, LoadResult, ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.fasta.parser import SUFFIX, sample_id
from loader.feeds.rejections import RESET_TO_WAITING
from loader.fn4.client import FindNeighbour4
from loader.ledger.scan import PAGE
from loader.models import BucketObject, Feed
from objectstores.base import Store, StoredObject

T = TypeVar("T")
TABLES = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE held (guid TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE listed (version TEXT PRIMARY KEY, guid TEXT) WITHOUT ROWID;
    CREATE TABLE lost (id INTEGER PRIMARY KEY);
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One sample on which bucket, ledger and server do not agree."""

    kind: FindingKind
    guid: str
    name: str = ""
    note: str = ""


@dataclass
class Reconciliation:
    """One comparison, which `differences` makes; then its counts are known, and `repair` may be called."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str
    _notes: sqlite3.Connection
    held: int = 0
    """Samples in the server."""
    listed: int = 0
    """FASTA files in the bucket."""
    counts: Counter[FindingKind] = field(default_factory=Counter)
    _started: datetime | None = None

    def differences(self) -> Iterator[Difference]:
        """All of them, in the order in which they are found. Raises ServerAway, ServerMisconfigured and StoreError."""
        self._started = DatabaseClock(self.feed.server, self.db).now()
        for guids in _pages(self.fn4.guids()):
            self.held += len(guids)
            self._notes.executemany("INSERT OR IGNORE INTO held VALUES (?)", ((guid,) for guid in guids))
        for found in (self._listing(), self._ledger(), self._server()):
            for difference in found:
                self.counts[difference.kind] += 1
                yield difference

    def repair(self) -> int:
        """Queues what the server lost and the bucket still has: it waits again. Returns how many. Sends nothing."""
        queued = 0
        for page in _pages(key for (key,) in self._notes.execute("SELECT id FROM lost")):
            rows = BucketObject.objects.using(self.db).filter(
                Q(done_at__lt=self._started) | Q(done_at=None), pk__in=page, state=ObjectState.LOADED
            )
            queued += rows.update(**RESET_TO_WAITING, result="", guid="", seq_digest="")
        return queued

    def _listing(self) -> Iterator[Difference]:
        for page in _pages(item for item in self.store.list() if SUFFIX.search(item.name)):
            self.listed += len(page)
            versions = {digest(item.name, item.etag): item for item in page}
            known = self._known(list(versions))
            expected = {version: self._expected(known.get(version), item) for version, item in versions.items()}
            self._notes.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", expected.items())
            held = self._held(expected.values())
            for version, item in versions.items():
                row = known.get(version)
                if expected[version] not in held and not (row and row.state == ObjectState.LOADED):
                    yield _not_in_server(row, expected[version], item)

    def _ledger(self) -> Iterator[Difference]:
        rows = BucketObject.objects.using(self.db).filter(
            Q(done_at__lt=self._started) | Q(done_at=None), feed=self.feed, state=ObjectState.LOADED
        )
        last = 0
        while page := list(rows.filter(pk__gt=last).order_by("pk")[:PAGE]):
            last = page[-1].pk
            held = self._held(row.guid or row.seqid for row in page)
            there = self._listed([row.version for row in page])
            for row in page:
                yield from self._judge(row, held=(row.guid or row.seqid) in held, there=row.version in there)

    def _judge(self, row: BucketObject, *, held: bool, there: bool) -> Iterator[Difference]:
        guid = row.guid or row.seqid
        if not held:
            if there:
                self._notes.execute("INSERT INTO lost VALUES (?)", (row.pk,))
            yield Difference(
                FindingKind.LOST if there else FindingKind.LOST_AND_GONE, guid, row.name, f"loaded {row.done_at or ''}"
            )
        elif row.result == LoadResult.CONFLICTING:
            yield Difference(FindingKind.CONFLICTING, guid, row.name, row.reason)
        elif row.guid and row.guid != row.seqid:
            yield Difference(FindingKind.OTHER_NAME, guid, row.name, f"the file's name says {row.seqid}")

    def _server(self) -> Iterator[Difference]:
        strays = self._notes.execute(
            "SELECT guid FROM held WHERE guid NOT IN (SELECT guid FROM listed WHERE guid IS NOT NULL) ORDER BY guid"
        )
        for page in _pages(guid for (guid,) in strays):
            loaded = BucketObject.objects.using(self.db).filter(
                Q(guid__in=page) | Q(guid="", seqid__in=page), feed__server=self.feed.server, state=ObjectState.LOADED
            )
            whose = {row.guid or row.seqid: row for row in loaded}
            for guid in page:
                row = whose.get(guid)
                if row is None or row.feed_id == self.feed.pk:
                    note = "loaded from a file that has left the bucket" if row else "not loaded by us"
                    yield Difference(FindingKind.NOT_IN_BUCKET, guid, row.name if row else "", note)

    def _known(self, versions: list[str]) -> dict[str, BucketObject]:
        rows = BucketObject.objects.using(self.db).filter(feed=self.feed, version__in=versions)
        return {row.version: row for row in rows}

    def _expected(self, row: BucketObject | None, item: StoredObject) -> str:
        return (row.guid or row.seqid) if row else sample_id(item.name)

    def _held(self, guids: Iterable[str]) -> set[str]:
        return self._among("SELECT guid FROM held WHERE guid", list(guids))

    def _listed(self, versions: list[str]) -> set[str]:
        return self._among("SELECT version FROM listed WHERE version", versions)

    def _among(self, select: str, values: list[str]) -> set[str]:
        places = ", ".join("?" * len(values))
        return {value for (value,) in self._notes.execute(f"{select} IN ({places})", values)}


@contextmanager
def reconciliation(feed: Feed, store: Store, fn4: FindNeighbour4, db: str) -> Iterator[Reconciliation]:
    """A comparison with a temporary file, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fnloader-reconcile-") as folder:
        notes = sqlite3.connect(Path(folder) / "notes.sqlite3", isolation_level=None)
        try:
            notes.executescript(TABLES)
            yield Reconciliation(feed, store, fn4, db, notes)
        finally:
            notes.close()


def _not_in_server(row: BucketObject | None, guid: str, item: StoredObject) -> Difference:
    if row and row.state == ObjectState.REJECTED:
        return Difference(FindingKind.REJECTED, guid, item.name, row.reason)
    return Difference(
        FindingKind.NOT_LOADED, guid, item.name, row.get_state_display() if row else "not yet seen by fnload"
    )


def _pages(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while page := list(islice(iterator, PAGE)):
        yield page
