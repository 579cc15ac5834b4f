"""Which samples of a list are in: what each kind of row says, on the database alone and by the command."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.exceptions import OperationRefused
from loader import sample_list
from loader.choices import AttemptOutcome, LoadResult, ObjectState, SampleStatus
from loader.models import BucketObject, LoadAttempt
from loader.sample_list import SampleRow, find_server, sample_report, totals
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object

WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)
A, B = "http://a:1", "http://b:1"
ON_A, ON_B = f"{A} on test-host", f"{B} on test-host"


def looked_up(*ids: str, server: str = "") -> list[SampleRow]:
    with sample_report(ids, server) as report:
        return list(report)


def statuses(*ids: str, server: str = "") -> dict[str, str]:
    return {row.id: row.status for row in looked_up(*ids, server=server)}


def test_each_state_of_a_file_is_told_from_the_others(make_feed: MakeFeed) -> None:
    feed = make_feed(url=A)
    add_object(feed, "in", ObjectState.LOADED, result=LoadResult.INSERTED, done_at=WHEN)
    add_object(feed, "rejected", ObjectState.REJECTED, reason="the file is empty", done_at=WHEN)
    add_object(feed, "gone", ObjectState.GONE, done_at=WHEN)
    add_object(feed, "waiting", created=WHEN)
    add_object(feed, "loading", ObjectState.LOADING)
    add_object(feed, "retry", tries=2, reason="HTTP 500", not_before=WHEN)
    rows = {row.id: row for row in looked_up("in", "loading", "nowhere", "waiting", "retry", "gone", "rejected")}
    assert list(rows) == ["nowhere", "rejected", "gone", "retry", "waiting", "loading", "in"]
    assert [row.status for row in rows.values()] == [
        SampleStatus.UNKNOWN, SampleStatus.REJECTED, SampleStatus.GONE, SampleStatus.RETRY, SampleStatus.WAITING,
        SampleStatus.LOADING, SampleStatus.IN,
    ]  # fmt: skip
    at = "2026-01-31T18:25:03+00:00"
    assert rows["in"] == ("in", "in", ON_A, at, "", "inserted", "tb", "in.fasta", "")
    assert (rows["rejected"].why, rows["rejected"].since) == ("the file is empty", at)
    assert (rows["waiting"].why, rows["waiting"].since) == ("queued", at)
    assert rows["retry"].why == "HTTP 500; next try 2026-01-31 18:25 UTC"
    assert rows["nowhere"].server is None


def test_what_keeps_a_waiting_sample_is_said(make_feed: MakeFeed) -> None:
    paused, away = make_feed("paused", A, paused_at=WHEN), make_feed("away", B)
    away.server.circuit_open_since = WHEN
    away.server.save()
    add_object(paused, "p")
    add_object(away, "a", tries=1, reason="HTTP 500")
    assert [row.why for row in looked_up("a", "p")] == ["the server is unavailable; HTTP 500", "feed paused is paused"]


@pytest.mark.parametrize("result", [LoadResult.CONFLICTING, LoadResult.UNPROVEN, LoadResult.INVALID])
def test_what_is_in_and_needs_a_look_stands_before_the_others_that_are_in(
    make_feed: MakeFeed, result: LoadResult
) -> None:
    feed = make_feed(url=A)
    add_object(feed, "a", ObjectState.LOADED, result=LoadResult.INSERTED, done_at=WHEN)
    add_object(feed, "b", ObjectState.LOADED, result=result, done_at=WHEN)
    with sample_report(["a", "b"]) as report:
        assert [(row.id, row.status, row.why) for row in report] == [("b", "in", result.label), ("a", "in", "")]
        assert totals(report) | {"in": 2, "warnings": 1, "total": 2} == totals(report)
        assert report.exit_status == 0


def test_a_sample_is_in_since_its_first_version_and_a_later_conflict_is_a_warning(make_feed: MakeFeed) -> None:
    feed = make_feed(url=A)
    add_object(feed, "s", ObjectState.LOADED, result=LoadResult.INSERTED, done_at=WHEN, name="s.fasta")
    later = WHEN + timedelta(days=1)
    add_object(feed, "s", ObjectState.LOADED, result=LoadResult.CONFLICTING, done_at=later, name="s.fa")
    (row,) = looked_up("s")
    assert (row.since, row.result) == ("2026-01-31T18:25:03+00:00", "conflicting")


def test_of_a_sample_that_is_not_in_the_newest_file_counts_and_one_that_is_gone_last(make_feed: MakeFeed) -> None:
    feed = make_feed(url=A)
    add_object(feed, "s", ObjectState.REJECTED, name="s.1.fasta", reason="empty")
    add_object(feed, "s", ObjectState.WAITING, name="s.2.fasta")
    add_object(feed, "s", ObjectState.GONE, name="s.3.fasta")
    assert statuses("s") == {"s": SampleStatus.WAITING}


def test_several_servers_each_that_holds_it_or_the_one_that_is_asked_for(make_feed: MakeFeed) -> None:
    one, two = make_feed("one", A), make_feed("two", B)
    for feed in (one, two):
        add_object(feed, "both", ObjectState.LOADED, done_at=WHEN)
        add_object(feed, "none", ObjectState.WAITING)
    add_object(one, "first", ObjectState.LOADED, done_at=WHEN)
    add_object(two, "first", ObjectState.REJECTED, reason="empty")
    add_object(two, "second", ObjectState.LOADED, done_at=WHEN)
    rows = [(row.id, row.status, row.server) for row in looked_up("both", "first", "none")]
    assert rows == [
        ("none", "waiting", ON_A), ("none", "waiting", ON_B), ("both", "in", ON_A), ("both", "in", ON_B), ("first", "in", ON_A),
    ]  # fmt: skip
    assert statuses("both", "first", "none", server=ON_B) == {"both": "in", "none": "waiting", "first": "rejected"}
    (second,) = looked_up("second", server=ON_A)
    assert (second.status, second.why) == ("unknown", f"not known for {ON_A}; known for {ON_B}")


def test_rows_of_older_loaders_count(make_feed: MakeFeed) -> None:
    make_feed(url=A)
    old = {"findneighbour_server_url": A, "file_name": "old.fasta"}
    LoadAttempt.objects.create(seqid="old", insert_status_code=201, insert_end_time=WHEN, **old)
    LoadAttempt.objects.create(seqid="failed", parse_status="Failed, no record", insert_status_code=None, **old)
    LoadAttempt.objects.create(
        seqid="file", fn4id="guid", insert_status_code=200, findneighbour_server_url="http://gone"
    )
    rows = {row.id: row for row in looked_up("old", "failed", "guid", "file")}
    assert (rows["old"].status, rows["old"].server, rows["old"].since) == ("in", ON_A, "2026-01-31T18:25:03+00:00")
    assert (rows["failed"].status, rows["failed"].why) == ("failed", "last attempt: Failed, no record")
    assert (rows["guid"].status, rows["guid"].server, rows["file"].status) == ("in", "http://gone", "in")


def test_an_attempt_with_a_file_says_nothing_beside_its_file(make_feed: MakeFeed) -> None:
    item = add_object(make_feed(url=A), "s", ObjectState.WAITING)
    add_attempt(item, AttemptOutcome.FAILED, insert_status_code=201)
    assert statuses("s") == {"s": "waiting"}


def test_attempts_of_a_removed_feed_count(make_feed: MakeFeed) -> None:
    item = add_object(make_feed(url=A), "s", ObjectState.LOADED)
    attempt = add_attempt(item, AttemptOutcome.INSERTED, insert_status_code=200, insert_end_time=WHEN)
    LoadAttempt.objects.filter(pk=attempt.pk).update(feed=None, bucket_object=None)
    BucketObject.objects.all().delete()
    assert [(row.status, row.server) for row in looked_up("s")] == [("in", ON_A)]


def test_an_unproven_attempt_of_a_removed_feed_is_in_with_a_warning(make_feed: MakeFeed) -> None:
    server = make_feed(url=A).server
    LoadAttempt.objects.create(
        seqid="s", server=server, insert_status_code=503, insert_end_time=WHEN, outcome=AttemptOutcome.UNPROVEN
    )
    assert [(row.status, row.server, row.result, row.why) for row in looked_up("s")] == [
        ("in", ON_A, "unproven", LoadResult.UNPROVEN.label)
    ]


def test_ids_are_known_as_what_people_paste(make_feed: MakeFeed) -> None:
    feed = make_feed(url=A)
    add_object(feed, "s1", ObjectState.LOADED, guid="g1", done_at=WHEN)
    add_object(feed, "s2.1", ObjectState.LOADED, guid="s2.1", done_at=WHEN)
    pasted = {"g1": "", "runs/s1.fasta": "s1", ">GPAS_SP3|s1 x": "s1", "s2.1.fasta.gz": "s2.1", "s1": ""}
    assert {row.id: row.known_as for row in looked_up(*pasted)} == pasted


def test_a_list_of_any_length_is_answered_by_four_look_ups_a_chunk(make_feed: MakeFeed) -> None:
    feed = make_feed(url=A)
    at = timezone.now()
    files = [
        BucketObject(
            feed=feed, name=f"s{n}.fasta", version=str(n), etag="e", size=1, created=at, first_seen=at, seqid=f"s{n}",
            guid=f"s{n}", state=ObjectState.LOADED, done_at=at,
        )
        for n in range(1000)
    ]  # fmt: skip
    BucketObject.objects.bulk_create(files)
    with CaptureQueriesContext(connection) as queries:
        found = statuses(*(f"s{n}" for n in range(1001)))
    assert list(found.values()) == ["unknown"] + ["in"] * 1000
    assert len(queries) <= 2 + 4 * (1001 // sample_list.CHUNK_SIZE + 1)


def plans(queries: Iterable[str]) -> str:
    with connection.cursor() as cursor:
        lines = []
        for query in queries:
            cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + query)
            lines += [" ".join(map(str, row)) for row in cursor.fetchall()]
    return "\n".join(lines)


def test_every_look_up_is_by_an_index(make_feed: MakeFeed) -> None:
    make_feed(url=A)
    LoadAttempt.objects.create(seqid="old", bucket_read_start_time=WHEN)
    with CaptureQueriesContext(connection) as captured:
        looked_up("s1", "s2")
    queries = [query["sql"] for query in captured if "seqid" in query["sql"] or "fn4id" in query["sql"]]
    assert len(queries) == 4
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
    text = plans(queries)
    for index in ("loader_object_seqid", "loader_object_guid", "ix_fn4loadattempt_seqid", "ix_fn4loadattempt_fn4id"):
        assert index in text, text
    assert "SCAN" not in text.replace("SCAN json_each", "").replace("Bitmap Heap Scan", "").replace(
        "Bitmap Index Scan", ""
    ).replace("Index Scan", "")


def test_a_server_is_found_by_its_url_and_an_unknown_one_is_refused(make_feed: MakeFeed) -> None:
    make_feed(url=A)
    LoadAttempt.objects.create(seqid="s", findneighbour_server_url="http://gone")
    assert [find_server(url) for url in (A, ON_A, "http://gone")] == [ON_A, ON_A, "http://gone"]
    with pytest.raises(OperationRefused, match=f"Known: {ON_A}"):
        find_server("http://nobody")


def test_the_command_on_what_was_really_loaded(feeding: Feeding, tmp_path: Path) -> None:
    feeding.put_samples("s1", "s2")
    feeding.put("broken.fasta", b"")
    assert feeding.load().returncode == 10
    sheet = tmp_path / "runs.csv"
    sheet.write_text("place,guid\nLeeds,s1\nYork,s2\nHull,broken\nBath,s9\nBath,s9\n")
    told = feeding.manage("sample", str(sheet))
    assert (told.returncode, "column 'guid'" in told.stderr) == (10, True), told.stderr
    lines = told.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["Unknown", "s9"],
        ["Rejected", "broken"],
        ["In", "s1"],
        ["In", "s2"],
    ]
    assert feeding.fn4.url in lines[2]
    assert lines[4] == "4 ids: 1 unknown, 1 rejected, 2 in. 1 repetition left out."
    sheet.write_text("s1\ns2.fasta\n")
    assert feeding.manage("sample", str(sheet), "--server", f"{feeding.fn4.url}/").returncode == 0
    assert feeding.manage("sample", str(sheet), "--server", "http://nobody:1").returncode == 1
    assert feeding.manage("sample", str(sheet), "--server", "nobody").returncode == 2
    document = json.loads(feeding.manage("sample", str(sheet), "--json").stdout)
    assert (document["totals"]["in"], document["ids"][1]["known_as"]) == (2, "s2")
    rows = list(csv.DictReader(io.StringIO(feeding.manage("sample", str(sheet), "--csv").stdout)))
    assert [(row["id"], row["status"], row["feed"]) for row in rows] == [
        ("s1", "in", rows[0]["feed"]), ("s2.fasta", "in", rows[0]["feed"]),
    ]  # fmt: skip


def test_what_can_not_be_read_is_one_line_and_status_1(feeding: Feeding, tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("a,b\nc1,d1\n")
    for arguments, why in (
        (("nowhere.csv",), "can't be read"),
        (("two.csv",), "Columns: a, b"),
        (("two.csv", "--column", "z"), "z"),
    ):
        told = feeding.manage("sample", str(tmp_path / arguments[0]), *arguments[1:])
        assert (told.returncode, why in told.stderr, "Traceback" in told.stderr) == (1, True, False), told.stderr
