"""Which loaded samples are of no use, because the server has found too many N in them (domain.md 2: `invalid_guids`).

One question for all of them, at the end of a pass in which the number of samples in the server changed. The answer is kept in a
temporary file, so memory stays flat, and the server is not held up while the ledger is compared with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime

from django.db.models import OuterRef, Q, Subquery

from core.temporary import in_pages, temporary_database
from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.coordination.write_lock import locked_transaction
from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import BucketObject, Feed, LoadAttempt, Server

PAGE_SIZE = 500
_TABLES = """
    PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
    CREATE TABLE id (guid TEXT PRIMARY KEY, known INTEGER DEFAULT 0) WITHOUT ROWID;
"""
IN_USE = (LoadResult.INSERTED, LoadResult.FOUND, LoadResult.SAME, LoadResult.PRESENT)
"""Results that give way to `invalid`. A conflict, or links that are unproven, stay: they say more."""
BEFORE = {
    AttemptOutcome.INSERTED: LoadResult.INSERTED,
    AttemptOutcome.FOUND: LoadResult.FOUND,
}
"""The result of a sample by the outcome of its last attempt; by any other, and without one, it was there already."""


def update_invalid(
    server: Server, fn4: FindNeighbour4, db: str, heartbeat: Callable[[], None] = lambda: None
) -> int | None:
    """Asks the server for its invalid samples, if the number of its samples changed since it was last asked, and marks them.

    Returns how many are invalid; None if it was not asked, or did not answer: then the next pass asks again. An older server
    has no such question.
    """
    row = Server.objects.using(db).filter(pk=server.pk)
    number, asked = row.values_list("number_in_server", "invalid_asked_at_number").get()
    if number is None or number == asked:
        return None
    with temporary_database(_TABLES) as ids:
        ids.execute("BEGIN")
        try:
            for page in in_pages(fn4.invalid_guids(), PAGE_SIZE):
                ids.executemany("INSERT OR IGNORE INTO id (guid) VALUES (?)", ((str(guid),) for guid in page))
                heartbeat()
        except (ServerUnavailable, ServerMisconfigured):
            return None
        _reset(server, ids, db, heartbeat)
        _mark(server, ids, db, heartbeat)
        ((invalid,),) = ids.execute("SELECT count(*) FROM id")
    row.update(invalid_in_server=invalid, invalid_asked_at_number=number)
    return int(invalid)


def _reset(server: Server, ids: sqlite3.Connection, db: str, heartbeat: Callable[[], None]) -> None:
    """Files whose ids are no longer among them get the result of their last attempt: the server was restored, or set up again.

    The ids of the others are known from now on.
    """
    last = LoadAttempt.objects.filter(bucket_object=OuterRef("pk")).order_by("-gp_int_id").values("outcome")[:1]
    for page in _marked_files(server, db):
        heartbeat()
        select = f"SELECT guid FROM id WHERE guid IN ({', '.join('?' * len(page))})"  # noqa: S608
        held = {guid for (guid,) in ids.execute(select, [guid or seqid for _, guid, seqid, _ in page])}
        ids.executemany("UPDATE id SET known = 1 WHERE guid = ?", ((guid,) for guid in held))
        gone = [key for key, guid, seqid, _ in page if (guid or seqid) not in held]
        files = BucketObject.objects.using(db).filter(pk__in=gone, result=LoadResult.INVALID)
        by_result: dict[LoadResult, list[int]] = {}
        for key, outcome in files.annotate(last=Subquery(last)).values_list("pk", "last"):
            by_result.setdefault(BEFORE.get(outcome, LoadResult.PRESENT), []).append(key)
        if by_result:
            with locked_transaction(db):
                # The insert of a sample that was there already notes it as its reason.
                files.filter(reason__endswith="too many N").update(reason="")
                for result, some in by_result.items():
                    files.filter(pk__in=some).update(result=result)


MarkedFile = tuple[int, str, str, datetime | None]
"""Key, guid, sample id, and when it was loaded."""


def _marked_files(server: Server, db: str) -> Iterator[list[MarkedFile]]:
    """The files of a server that are marked, a page at a time, by the order of the index that holds only such."""
    for feed in Feed.objects.using(db).filter(server=server):
        rows = BucketObject.objects.using(db).filter(feed=feed, result=LoadResult.INVALID)
        for undated in (True, False):
            ordered = rows.filter(done_at__isnull=undated).order_by("done_at", "pk")
            values = ordered.values_list("pk", "guid", "seqid", "done_at")
            page = list(values[:PAGE_SIZE])
            while page:
                yield page
                key, _, _, at = page[-1]
                after = Q(done_at__gt=at) | Q(done_at=at, pk__gt=key) if at else Q(pk__gt=key)
                since = Q(done_at__gte=at) if at else Q()
                page = list(values.filter(after, since)[:PAGE_SIZE])


def _mark(server: Server, ids: sqlite3.Connection, db: str, heartbeat: Callable[[], None]) -> None:
    """Files that are loaded under one of the other ids get the result `invalid`."""
    loaded = BucketObject.objects.using(db).filter(state=ObjectState.LOADED, result__in=IN_USE)
    for guids in in_pages(
        (guid for (guid,) in ids.execute("SELECT guid FROM id WHERE known = 0 ORDER BY guid")), PAGE_SIZE
    ):
        heartbeat()
        # Two questions, as an index serves each of them.
        for of_id in (Q(guid__in=guids), Q(guid="", seqid__in=guids)):
            keys = list(loaded.filter(of_id, feed__server=server).values_list("pk", flat=True))
            for some in in_pages(keys, PAGE_SIZE):
                with locked_transaction(db):
                    loaded.filter(pk__in=some).update(result=LoadResult.INVALID)
