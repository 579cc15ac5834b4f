"""The ledger: a listing merged with what the table knows, a page at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.digests import digest
from loader.choices import ObjectState
from loader.coordination.database_clock import DatabaseClock
from loader.ledger import scan as scan_module
from loader.ledger.queue import due
from loader.ledger.scan import ScanResult, scan
from loader.models import BucketObject, Feed, LoadAttempt
from objectstores.base import Store, StoredObject, Unavailable
from tests.support.feeds import MakeFeed

CREATED = datetime(2026, 1, 1, 12, 0, 0, 500_000, UTC)


class Listed:
    """A store that lists what it is given, and breaks off where it is told to."""

    def __init__(self, *names: str, etag: str = "e", breaks_off: bool = False) -> None:
        self.names, self.etag, self.breaks_off = names, etag, breaks_off

    def list(self, _prefix: str = "", on_page: Callable[[], None] = lambda: None) -> Iterator[StoredObject]:
        """As in `base.Store`."""
        for name in self.names:
            yield StoredObject(name, 7, self.etag, "0" * 32, CREATED)
        if self.breaks_off:
            raise Unavailable("the second page failed")


def look(feed: Feed, *names: str, **how: Any) -> ScanResult:  # noqa: ANN401
    store: Store = Listed(*names, **how)  # type: ignore[assignment]
    time.sleep(0.005)  # two scans are never at one time; SQLite's clock has milliseconds
    return scan(feed, store, "default", DatabaseClock(feed.server, "default"), lambda: None)


def states() -> dict[str, str]:
    return dict(BucketObject.objects.values_list("name", "state"))


def test_what_is_new_gets_a_row_as_the_model_would_write_it(make_feed: MakeFeed) -> None:
    feed = make_feed()
    assert look(feed, "f/s1.x.fasta", "readme.txt") == ScanResult(listed=2, ignored=1, found=1)
    row = BucketObject.objects.get()
    row.full_clean()
    meant = BucketObject(
        feed=feed,
        name="f/s1.x.fasta",
        version=digest("f/s1.x.fasta", "e"),
        etag="e",
        size=7,
        md5="0" * 32,
        created=CREATED,
        first_seen=row.first_seen,
        seqid="s1",
    )
    columns = [field.attname for field in BucketObject._meta.concrete_fields if not field.primary_key]
    assert {name: getattr(row, name) for name in columns} == {name: getattr(meant, name) for name in columns}


def test_a_known_page_costs_one_question_and_no_write(make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "PAGE_SIZE", 10)
    feed, names = make_feed(), [f"s{number:03d}.fasta" for number in range(50)]
    assert look(feed, *names).found == 50
    BucketObject.objects.update(state=ObjectState.LOADED)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert look(feed, *names) == ScanResult(listed=50)
    of_the_ledger = [query["sql"] for query in asked if "loader_bucketobject" in query["sql"]]
    assert len(of_the_ledger) == 7, "one a page, and two about what waits"
    assert all(sql.startswith("SELECT") for sql in of_the_ledger)


def test_a_new_version_is_a_new_row_and_the_old_one_stays(make_feed: MakeFeed) -> None:
    feed = make_feed()
    look(feed, "s1.fasta", "s2.fasta")
    BucketObject.objects.filter(name="s1.fasta").update(state=ObjectState.LOADED)
    assert look(feed, "s1.fasta", "s2.fasta", etag="another") == ScanResult(listed=2, found=2, gone=1)
    assert sorted(BucketObject.objects.values_list("name", "etag", "state")) == [
        ("s1.fasta", "another", "waiting"),
        ("s1.fasta", "e", "loaded"),
        ("s2.fasta", "another", "waiting"),
        ("s2.fasta", "e", "gone"),
    ]


def test_what_left_before_it_was_loaded_is_gone_and_waits_again_when_it_is_back(make_feed: MakeFeed) -> None:
    feed = make_feed()
    look(feed, "s1.fasta", "s2.fasta")
    assert look(feed, "s1.fasta").gone == 1
    assert states() == {"s1.fasta": "waiting", "s2.fasta": "gone"}
    assert look(feed, "s1.fasta", "s2.fasta") == ScanResult(listed=2)
    assert states() == {"s1.fasta": "waiting", "s2.fasta": "waiting"}


def test_a_listing_that_breaks_off_makes_nothing_gone(make_feed: MakeFeed) -> None:
    feed = make_feed()
    look(feed, "s1.fasta", "s2.fasta")
    with pytest.raises(Unavailable):
        look(feed, "s1.fasta", breaks_off=True)
    assert states() == {"s1.fasta": "waiting", "s2.fasta": "waiting"}
    assert not Feed.objects.filter(checked_at__isnull=True).exists(), "the listing before it came to its end"


def test_a_file_that_arrives_late_or_in_the_same_second_is_found(make_feed: MakeFeed) -> None:
    feed = make_feed()
    look(feed, "s2.fasta")
    BucketObject.objects.update(state=ObjectState.LOADED, created=CREATED + timedelta(days=1))
    assert look(feed, "s1.fasta", "s2.fasta").found == 1, "older than what was loaded, and first in the order of names"
    assert [item.name for item in due(feed, "default", DatabaseClock(feed.server, "default").now())] == ["s1.fasta"]


def test_names_of_1024_bytes_that_differ_in_case_or_only_at_their_end_are_different(make_feed: MakeFeed) -> None:
    feed = make_feed()
    names = sorted(["a" * 1018 + ".fasta", "A" * 1018 + ".fasta", "a" * 1017 + "b.fasta", "ä" * 509 + ".fasta"])
    assert look(feed, *names).found == 4
    assert look(feed, *names).found == 0


def test_files_that_a_loader_before_this_one_was_done_with_are_not_loaded_again(make_feed: MakeFeed) -> None:
    feed = make_feed()
    for seqid, status, completed in (("in", 201, 0), ("bad", None, 1), ("failed", 500, 0)):
        LoadAttempt.objects.create(
            findneighbour_server_url=feed.server.url + "/",
            seqid=seqid,
            file_name=f"{seqid}.fasta",
            insert_status_code=status,
            completed=completed,
        )
    look(feed, "bad.fasta", "failed.fasta", "in.fasta", "new.fasta")
    assert states() == {
        "in.fasta": "loaded",
        "bad.fasta": "rejected",
        "failed.fasta": "waiting",
        "new.fasta": "waiting",
    }
    assert BucketObject.objects.get(name="in.fasta").result == "present"
    look(feed, "in.fasta", etag="a new version")
    assert BucketObject.objects.get(etag="a new version").state == ObjectState.WAITING


def test_adopted_rows_are_found_by_an_index(make_feed: MakeFeed) -> None:
    with CaptureQueriesContext(connection) as asked:
        LoadAttempt.objects.create(file_name="s1.fasta", completed=1)
        look(make_feed(), "s1.fasta", "s2.fasta")
    (sql,) = [query["sql"] for query in asked if "file_name" in query["sql"] and query["sql"].startswith("SELECT")]
    if connection.vendor != "sqlite":
        return  # PostgreSQL chooses by its statistics, and has none of three rows
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        assert "ix_fn4loadattempt_adopted_file (outcome=? AND file_name=?)" in str(cursor.fetchall())
