"""Compares two servers that should hold the same samples (twins), in flat memory.

Ids are stored in a temporary SQLite file, which sorts and groups them. A server is read in one go, and what it got since is no
difference, so loaders may run meanwhile.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q

from core.digests import digest
from core.formatting import format_time, pluralize
from core.processes import monotonic
from core.temporary import in_pages, temporary_database
from loader.choices import ObjectState, TwinKind
from loader.coordination.database_clock import DatabaseClock
from loader.feeds.rejections import RESET_TO_WAITING
from loader.feeds.store_urls import open_feed_store
from loader.fn4.responses import ServerMisconfigured
from loader.ledger.scan import PAGE_SIZE
from loader.models import BucketObject, Feed, Server

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4

DEFAULT_PACE = 20.0
"""Samples whose sequences are compared in a second: a loader that inserts meanwhile hardly notices."""
MAX_WITHOUT_DIGEST = 10
"""A server that gives no digest of the first ones gives none at all."""
_IN_FIRST, _IN_SECOND, _INVALID_FIRST, _INVALID_SECOND = 1, 2, 4, 8
_IN_BOTH = _IN_FIRST | _IN_SECOND
_TABLES = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000;
    CREATE TABLE seen (guid TEXT, bit INTEGER);
    CREATE TABLE differing (guid TEXT PRIMARY KEY, bits INTEGER) WITHOUT ROWID;
    CREATE TABLE lost (id INTEGER PRIMARY KEY, feed INTEGER, version TEXT);
"""
_BITS = "max(bit = 1) + 2 * max(bit = 2) + 4 * max(bit = 4) + 8 * max(bit = 8)"
_GROUPS = f"SELECT guid, {_BITS} AS bits FROM seen GROUP BY guid HAVING bits"  # noqa: S608
_MOST_TELLING = (
    ObjectState.GONE,
    ObjectState.REJECTED,
    ObjectState.LOADED,
    ObjectState.LOADING,
    ObjectState.WAITING,
)
"""States of a sample's files, in ascending order of what they say about a server that lacks it."""


@dataclass(frozen=True, slots=True)
class Twin:
    """One of two servers that are compared."""

    name: str
    fn4: FindNeighbour4
    server: Server | None
    """None: no feed loads it."""


@dataclass(frozen=True, slots=True)
class TwinDifference:
    """One sample on which two servers differ."""

    kind: TwinKind
    guid: str
    note: str = ""


@dataclass
class ServerComparison:
    """One comparison. `differences` makes it; then its counts are complete, and `repair` may be called."""

    first: Twin
    second: Twin
    db: str
    _temporary: sqlite3.Connection
    in_first: int = 0
    in_second: int = 0
    without_validity: list[str] = field(default_factory=list)
    """Servers that don't tell which samples have too many N."""
    lost: int = 0
    """Samples that one of them lacks and the ledger says are loaded into it: `repair` queues those that a bucket still has."""
    same_sequence: int = 0
    last: str = ""
    """The last sample whose sequences were compared."""
    counts: Counter[TwinKind] = field(default_factory=Counter)
    _started: dict[int, datetime] = field(default_factory=dict)

    def differences(self, progress: Callable[[str], None] = lambda _text: None) -> Iterator[TwinDifference]:
        """Compares, and yields each difference. Raises ServerUnavailable and ServerMisconfigured."""
        for twin in (self.first, self.second):
            if twin.server:
                self._started[twin.server.pk] = DatabaseClock(twin.server, self.db).now()
            progress(f"reading {twin.name}")
            self._read(twin)
        progress("comparing")
        same = [_IN_BOTH, _IN_BOTH | _INVALID_FIRST | _INVALID_SECOND]
        if self.without_validity:
            same += [_IN_BOTH | _INVALID_FIRST, _IN_BOTH | _INVALID_SECOND]
        # Ids that were only in a list of invalid ones came later than the list of all.
        wanted = f"bits & {_IN_BOTH} AND bits NOT IN ({', '.join(map(str, same))})"
        self._temporary.execute(f"INSERT INTO differing {_GROUPS} AND {wanted}")
        self._forget_new_ones()
        for page in in_pages(self._temporary.execute("SELECT guid, bits FROM differing ORDER BY guid"), PAGE_SIZE):
            for difference in self._differences_of(dict(page)):
                self.counts[difference.kind] += 1
                yield difference

    def _read(self, twin: Twin) -> None:
        is_first = twin is self.first
        number = 0
        for page in in_pages(twin.fn4.guids(), PAGE_SIZE):
            number += len(page)
            self._note(page, _IN_FIRST if is_first else _IN_SECOND)
        if is_first:
            self.in_first = number
        else:
            self.in_second = number
        try:
            for page in in_pages(twin.fn4.invalid_guids(), PAGE_SIZE):
                self._note(page, _INVALID_FIRST if is_first else _INVALID_SECOND)
        except ServerMisconfigured:
            self.without_validity.append(twin.name)

    def _note(self, guids: list[str], bit: int) -> None:
        self._temporary.executemany("INSERT INTO seen VALUES (?, ?)", ((str(guid), bit) for guid in guids))

    def _forget_new_ones(self) -> None:
        """What only the second server seems to hold may have come into the first one after that was read: it is read again."""
        only_second = f"bits & {_IN_BOTH} = {_IN_SECOND}"
        if self._temporary.execute(f"SELECT 1 FROM differing WHERE {only_second} LIMIT 1").fetchone():  # noqa: S608
            delete = f"DELETE FROM differing WHERE guid = ? AND {only_second}"  # noqa: S608
            for page in in_pages(self.first.fn4.guids(), PAGE_SIZE):
                self._temporary.executemany(delete, ((str(guid),) for guid in page))

    def _differences_of(self, bits: dict[str, int]) -> Iterator[TwinDifference]:
        """Those of some samples."""
        known: dict[str, BucketObject] = {}
        for held, lacking in ((_IN_FIRST, self.second), (_IN_SECOND, self.first)):
            guids = [guid for guid, of_guid in bits.items() if of_guid & _IN_BOTH == held]
            known |= self._files(lacking, guids)
        for guid, of_guid in bits.items():
            if of_guid & _IN_BOTH == _IN_BOTH:
                where = self.first if of_guid & _INVALID_FIRST else self.second
                yield TwinDifference(TwinKind.VALIDITY, guid, f"too many N in {where.name}")
                continue
            only, lacking = (
                (TwinKind.ONLY_FIRST, self.second) if of_guid & _IN_FIRST else (TwinKind.ONLY_SECOND, self.first)
            )
            file = known.get(guid)
            if file and file.state == ObjectState.LOADED:
                if lacking.server and file.done_at and file.done_at >= self._started[lacking.server.pk]:
                    # It was loaded since the server was read.
                    continue
                self.lost += 1
                values = (file.pk, file.feed_id, file.version)
                self._temporary.execute("INSERT OR IGNORE INTO lost VALUES (?, ?, ?)", values)
            waits = file and file.state in (ObjectState.WAITING, ObjectState.LOADING)
            yield TwinDifference(TwinKind.QUEUED if waits else only, guid, _note_text(file, lacking))

    def _files(self, twin: Twin, guids: list[str]) -> dict[str, BucketObject]:
        """The files of these samples in the buckets of a server's feeds, by id: of several the most telling one."""
        if not (twin.server and guids):
            return {}
        rows = BucketObject.objects.using(self.db).filter(feed__server=twin.server).select_related("feed")
        # Two questions, as an index serves each of them.
        found = [*rows.filter(guid__in=guids), *rows.filter(guid="", seqid__in=guids)]
        found.sort(key=lambda file: (_MOST_TELLING.index(ObjectState(file.state)), file.pk))
        return {file.guid or file.seqid: file for file in found}

    def repair(self) -> int:
        """Queues what the ledger says is loaded into the server that lacks it, and the feed's bucket still has.

        Returns the number. Sends nothing. Raises StoreError.
        """
        queued = 0
        feeds = [feed for (feed,) in self._temporary.execute("SELECT DISTINCT feed FROM lost")]
        for feed in Feed.objects.using(self.db).select_related("server").filter(pk__in=feeds).order_by("pk"):
            before = Q(done_at__lt=self._started[feed.server.pk]) | Q(done_at=None)
            with closing(open_feed_store(feed.store_url)) as store:
                for page in in_pages(store.list(), PAGE_SIZE):
                    versions = [digest(item.name, item.etag) for item in page]
                    select = f"SELECT id FROM lost WHERE feed = ? AND version IN ({', '.join('?' * len(versions))})"  # noqa: S608
                    keys = [key for (key,) in self._temporary.execute(select, [feed.pk, *versions])]
                    if keys:
                        rows = BucketObject.objects.using(self.db).filter(before, pk__in=keys, state=ObjectState.LOADED)
                        queued += rows.update(**RESET_TO_WAITING, result="", guid="", seq_digest="")
        return queued

    def sequence_differences(self, pace: float = DEFAULT_PACE, after: str = "") -> Iterator[TwinDifference]:
        """Of samples that are in both, in the order of their ids: those whose sequences differ. `differences` comes first.

        Two questions a sample. Raises ServerUnavailable and ServerMisconfigured: `last` says how far it came.
        """
        next_at = 0.0
        both = f"{_GROUPS} AND bits & {_IN_BOTH} = {_IN_BOTH} AND guid > ? ORDER BY guid"
        for guid, _ in self._temporary.execute(both, [after]):
            if (wait := next_at - monotonic()) > 0:
                time.sleep(wait)
            next_at = max(next_at, monotonic() - 1.0) + 1 / pace
            difference = self._compare_sequences(guid)
            self.last = guid
            if difference:
                self.counts[difference.kind] += 1
                yield difference

    def _compare_sequences(self, guid: str) -> TwinDifference | None:
        held = [(twin, twin.fn4.annotation(guid)) for twin in (self.first, self.second)]
        digests = [sample.md5 for _, sample in held if sample]
        if len(digests) < len(held):
            return None
        if not all(digests):
            name = next(twin.name for twin, sample in held if sample and not sample.md5)
            if not self.same_sequence and self.counts[TwinKind.NOT_COMPARED] >= MAX_WITHOUT_DIGEST:
                raise ServerMisconfigured(f"{name} gives no digests of its sequences: they can't be compared.")
            return TwinDifference(TwinKind.NOT_COMPARED, guid, f"{name} gives no digest")
        if len(set(digests)) > 1:
            return TwinDifference(TwinKind.SEQUENCE, guid, "the servers hold different sequences under this id")
        self.same_sequence += 1
        return None

    @property
    def summary(self) -> str:
        """The result in a sentence."""
        texts = {
            TwinKind.ONLY_FIRST: f"only in {self.first.name}",
            TwinKind.ONLY_SECOND: f"only in {self.second.name}",
            TwinKind.QUEUED: "in one, waiting for the other",
            TwinKind.VALIDITY: "with too many N in one of them",
            TwinKind.SEQUENCE: "with another sequence",
            TwinKind.NOT_COMPARED: "whose sequences could not be compared",
        }
        counted = ", ".join(f"{self.counts[kind]:,} {text}" for kind, text in texts.items() if self.counts[kind])
        note = "".join(f"; {name} does not tell which have too many N" for name in self.without_validity)
        held = f"{pluralize(self.in_first, 'sample')} in {self.first.name}, {self.in_second:,} in {self.second.name}"
        return f"{held}: {counted or 'no differences'}{note}"


@contextmanager
def server_comparison(first: Twin, second: Twin, db: str) -> Iterator[ServerComparison]:
    """A comparison with a temporary file, which is deleted at the end. Closes both clients."""
    with (
        closing(first.fn4),
        closing(second.fn4),
        temporary_database(_TABLES) as temporary,
    ):
        # Nothing outlives the comparison: one transaction saves a write for each statement.
        temporary.execute("BEGIN")
        yield ServerComparison(first, second, db, temporary)


def _note_text(file: BucketObject | None, lacking: Twin) -> str:
    """What the ledger knows of a sample that a server lacks."""
    if not file:
        return f"no feed of {lacking.name} has seen its file" if lacking.server else ""
    match file.state:
        case ObjectState.LOADED:
            when = f" {format_time(file.done_at)}" if file.done_at else ""
            return f"loaded by feed {file.feed}{when}, and no longer there"
        case ObjectState.REJECTED:
            return f"rejected by feed {file.feed}: {file.reason}"
        case ObjectState.GONE:
            return f"deleted from the bucket of feed {file.feed} before it was loaded"
    return f"waits in feed {file.feed}" + (f": {file.reason}" if file.reason else "")
