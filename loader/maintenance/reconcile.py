"""Compares bucket, ledger and server of a feed, in flat memory.

Ids and versions are stored in a temporary SQLite file. The server is read first, and what was loaded since then is not
compared, so a loader may run meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from django.db.models import Q

from core.digests import digest
from core.temporary import in_pages, temporary_database
from loader.choices import FindingKind, LoadResult, ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.feeds.rejections import RESET_TO_WAITING
from loader.ledger.scan import PAGE_SIZE
from loader.models import BucketObject, Feed
from objectstores.base import Store

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4

TABLES = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE held (guid TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE listed (version TEXT PRIMARY KEY, guid TEXT) WITHOUT ROWID;
    CREATE TABLE lost (id INTEGER PRIMARY KEY);
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One sample on which bucket, ledger and server differ."""

    kind: FindingKind
    guid: str
    name: str = ""
    note: str = ""


@dataclass
class Reconciliation:
    """One comparison. `differences` makes it; then its counts are complete, and `repair` may be called."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str
    _temporary: sqlite3.Connection
    held: int = 0
    """Samples in the server."""
    listed: int = 0
    """FASTA files in the bucket."""
    counts: Counter[FindingKind] = field(default_factory=Counter)
    _started: datetime | None = None

    def differences(self) -> Iterator[Difference]:
        """Compares, and yields each difference. Raises ServerUnavailable, ServerMisconfigured and StoreError."""
        self._started = DatabaseClock(self.feed.server, self.db).now()
        for guids in in_pages(self.fn4.guids(), PAGE_SIZE):
            self.held += len(guids)
            self._temporary.executemany("INSERT OR IGNORE INTO held VALUES (?)", ((guid,) for guid in guids))
        for difference in chain(self._compare_listing(), self._compare_ledger(), self._compare_server()):
            self.counts[difference.kind] += 1
            yield difference

    def repair(self) -> int:
        """Queues what the server lost and the bucket still has. Returns the number. Sends nothing."""
        queued = 0
        for page in in_pages((key for (key,) in self._temporary.execute("SELECT id FROM lost")), PAGE_SIZE):
            rows = BucketObject.objects.using(self.db).filter(
                Q(done_at__lt=self._started) | Q(done_at=None), pk__in=page, state=ObjectState.LOADED
            )
            queued += rows.update(**RESET_TO_WAITING, result="", guid="", seq_digest="")
        return queued

    def _compare_listing(self) -> Iterator[Difference]:
        names = self.feed.name_rules
        for page in in_pages((item for item in self.store.list() if names.is_fasta(item.name)), PAGE_SIZE):
            self.listed += len(page)
            versions = {digest(item.name, item.etag): item for item in page}
            rows = BucketObject.objects.using(self.db).filter(feed=self.feed, version__in=list(versions))
            known = {row.version: row for row in rows}
            guids = {version: names.sample_id(item.name) for version, item in versions.items()}
            guids |= {version: row.guid or row.seqid for version, row in known.items()}
            self._temporary.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", guids.items())
            held = self._select("SELECT guid FROM held WHERE guid", guids.values())
            for version, item in versions.items():
                row, guid = known.get(version), guids[version]
                if guid in held or (row and row.state == ObjectState.LOADED):
                    continue
                if row and row.state == ObjectState.REJECTED:
                    yield Difference(FindingKind.REJECTED, guid, item.name, row.reason)
                else:
                    note = row.get_state_display() if row else "not yet scanned by fnload"
                    yield Difference(FindingKind.NOT_LOADED, guid, item.name, note)

    def _compare_ledger(self) -> Iterator[Difference]:
        rows = BucketObject.objects.using(self.db).filter(
            Q(done_at__lt=self._started) | Q(done_at=None), feed=self.feed, state=ObjectState.LOADED
        )
        last = 0
        while page := list(rows.filter(pk__gt=last).order_by("pk")[:PAGE_SIZE]):
            last = page[-1].pk
            held = self._select("SELECT guid FROM held WHERE guid", (row.guid or row.seqid for row in page))
            listed = self._select("SELECT version FROM listed WHERE version", (row.version for row in page))
            for row in page:
                guid = row.guid or row.seqid
                if guid not in held and row.version in listed:
                    self._temporary.execute("INSERT INTO lost VALUES (?)", (row.pk,))
                    yield Difference(FindingKind.LOST, guid, row.name, f"loaded {row.done_at or ''}")
                elif guid not in held:
                    yield Difference(FindingKind.LOST_AND_GONE, guid, row.name, f"loaded {row.done_at or ''}")
                elif row.result == LoadResult.CONFLICTING:
                    yield Difference(FindingKind.CONFLICTING, guid, row.name, row.reason)
                elif row.result == LoadResult.UNPROVEN:
                    yield Difference(FindingKind.UNPROVEN, guid, row.name, row.reason)
                elif row.guid and row.guid != row.seqid:
                    yield Difference(FindingKind.OTHER_NAME, guid, row.name, f"file name: {row.seqid}")
                if guid in held and row.result == LoadResult.INVALID:
                    yield Difference(FindingKind.INVALID, guid, row.name, "too many N to be compared")

    def _compare_server(self) -> Iterator[Difference]:
        rest = self._temporary.execute(
            "SELECT guid FROM held WHERE guid NOT IN (SELECT guid FROM listed WHERE guid IS NOT NULL) ORDER BY guid"
        )
        for page in in_pages((guid for (guid,) in rest), PAGE_SIZE):
            loaded = BucketObject.objects.using(self.db).filter(
                Q(guid__in=page) | Q(guid="", seqid__in=page), feed__server=self.feed.server, state=ObjectState.LOADED
            )
            rows = {row.guid or row.seqid: row for row in loaded}
            for guid in page:
                row = rows.get(guid)
                if row is None or row.feed_id == self.feed.pk:
                    note = "its file was deleted from the bucket" if row else "not loaded by fnloader"
                    yield Difference(FindingKind.NOT_IN_BUCKET, guid, row.name if row else "", note)

    def _select(self, select: str, values: Iterable[str]) -> set[str]:
        wanted = list(values)
        places = ", ".join("?" * len(wanted))
        return {value for (value,) in self._temporary.execute(f"{select} IN ({places})", wanted)}


@contextmanager
def reconciliation(feed: Feed, store: Store, fn4: FindNeighbour4, db: str) -> Iterator[Reconciliation]:
    """A comparison with a temporary file, which is deleted at the end."""
    with temporary_database(TABLES) as temporary:
        yield Reconciliation(feed, store, fn4, db, temporary)
