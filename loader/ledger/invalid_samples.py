"""Which loaded samples are of no use, because the server has found too many N in them (domain.md 2: `invalid_guids`).

One question for all of them, at the end of a pass in which the number of samples in the server changed. The answer is kept in a
temporary file, so memory stays flat, and the server is not held up while the ledger is compared with it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from django.db.models import OuterRef, Q, QuerySet, Subquery

from loader.choices import AttemptOutcome, LoadResult, ObjectState
from loader.coordination.write_lock import locked_transaction
from loader.fn4.client import FindNeighbour4
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import BucketObject, Feed, LoadAttempt, Server

T = TypeVar("T")
PAGE_SIZE = 500
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
    with _temporary_ids() as ids:
        try:
            for page in _pages(fn4.invalid_guids()):
                ids.executemany("INSERT OR IGNORE INTO id VALUES (?)", ((str(guid),) for guid in page))
                heartbeat()
        except (ServerUnavailable, ServerMisconfigured):
            return None
        marked = _mark(server, ids, db, heartbeat)
        if invalid_files(server, db).count() > marked:
            _reset(server, ids, db, heartbeat)
        ((invalid,),) = ids.execute("SELECT count(*) FROM id")
    row.update(invalid_in_server=invalid, invalid_asked_at_number=number)
    return int(invalid)


@contextmanager
def _temporary_ids() -> Iterator[sqlite3.Connection]:
    """A table of ids in a temporary file, which is deleted at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="fnloader-invalid-") as folder,
        closing(sqlite3.connect(Path(folder) / "ids.sqlite3", isolation_level=None)) as ids,
    ):
        ids.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE id (guid TEXT PRIMARY KEY) WITHOUT ROWID"
        )
        ids.execute("BEGIN")
        yield ids


def invalid_files(server: Server, db: str) -> QuerySet[BucketObject]:
    """The files of a server that are marked; by an index that holds only such."""
    rows = BucketObject.objects.using(db).filter(state=ObjectState.LOADED, result=LoadResult.INVALID)
    return rows.filter(feed__in=list(Feed.objects.using(db).filter(server=server).values_list("pk", flat=True)))


def _mark(server: Server, ids: sqlite3.Connection, db: str, heartbeat: Callable[[], None]) -> int:
    """Files that are loaded under one of these ids get the result `invalid`. Returns the number of those that have it."""
    loaded = BucketObject.objects.using(db).filter(state=ObjectState.LOADED, result__in=IN_USE)
    known = BucketObject.objects.using(db).filter(feed__server=server, state=ObjectState.LOADED)
    marked = 0
    for guids in _pages(guid for (guid,) in ids.execute("SELECT guid FROM id ORDER BY guid")):
        heartbeat()
        # Two questions, as an index serves each of them.
        for of_id in (Q(guid__in=guids), Q(guid="", seqid__in=guids)):
            rows = known.filter(of_id, result__in=(*IN_USE, LoadResult.INVALID)).values_list("pk", "result")
            for page in _pages(rows):
                keys = [key for key, result in page if result != LoadResult.INVALID]
                marked += len(page) - len(keys)
                if keys:
                    with locked_transaction(db):
                        marked += loaded.filter(pk__in=keys).update(result=LoadResult.INVALID)
    return marked


def _reset(server: Server, ids: sqlite3.Connection, db: str, heartbeat: Callable[[], None]) -> None:
    """Files whose ids are no longer among them get the result of their last attempt: the server was restored, or set up again."""
    outcome = LoadAttempt.objects.filter(bucket_object=OuterRef("pk")).order_by("-gp_int_id").values("outcome")[:1]
    invalid, last = invalid_files(server, db), 0
    rows = invalid.annotate(outcome=Subquery(outcome)).order_by("pk")
    while page := list(rows.filter(pk__gt=last).values_list("pk", "guid", "seqid", "outcome")[:PAGE_SIZE]):
        heartbeat()
        last = page[-1][0]
        places = ", ".join("?" * len(page))
        wanted = [guid or seqid for _, guid, seqid, _ in page]
        held = {guid for (guid,) in ids.execute(f"SELECT guid FROM id WHERE guid IN ({places})", wanted)}  # noqa: S608
        keys: dict[LoadResult, list[int]] = {}
        for key, guid, seqid, ended in page:
            if (guid or seqid) not in held:
                keys.setdefault(BEFORE.get(ended, LoadResult.PRESENT), []).append(key)
        if keys:
            with locked_transaction(db):
                for result, some in keys.items():
                    invalid.filter(pk__in=some).update(result=result)


def _pages(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while page := list(islice(iterator, PAGE_SIZE)):
        yield page
