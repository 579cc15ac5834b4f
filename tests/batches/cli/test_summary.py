"""`batch summary` and `batch tag`: what became of all records, for one batch and for all that have something in common."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from batches.models import Batch, BatchRecord
from batches.querysets import get_batch
from batches.reports.rates import UsualRate, compared, usual_rate
from batches.tags import tags_of
from tests.support.shelf import Shelf

pytest_plugins = ["tests.support.shelf"]
pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def ended(shelf: Shelf, run: Run) -> Batch:
    """Five records: two are ingested, one failed, one was not mapped and one has no file."""
    batch = shelf.batch("plc", "a", "b", "c", rectype="media")
    shelf.ingest(batch, "a", "b")
    for row, outcome in ((4, "skip"), (5, "unuploadable")):
        BatchRecord.objects.create(batch=batch, row=row, key_digest=str(row), upload_outcome=outcome)
    Batch.objects.update(record_count=5, map_errs=1, upload_errs=1)
    assert run("ingstat", "plc", "--sleep", "0")[0] == 10
    return get_batch("plc")


def test_the_sheet_of_a_batch_adds_up_line_by_line(ended: Batch, run: Run) -> None:
    status, text = run("batch", "summary", "plc")
    assert status == 0
    lines = text.splitlines()
    assert lines[:4] == [
        "plc: media, create, ingested",
        "5 records = 1 not mapped + 1 not uploaded + 3 uploaded",
        "3 uploaded = 2 ingested + 1 failed",
        "3 failed in any step = 0 corrected + 3 open",
    ]
    assert "DIFFERENCE" not in text
    assert any("  1 record failure: no message (row 3: c)" in line for line in lines)


def test_what_does_not_add_up_is_a_line_with_both_numbers_and_the_reason(ended: Batch, run: Run) -> None:
    Batch.objects.update(record_count=7, import_digest="x")
    assert (
        "  DIFFERENCE records: 7 stored, 5 counted. It was imported with this number."
        in run("batch", "summary", "plc")[1]
    )
    Batch.objects.update(record_count=5, import_digest=None, ingest_oks=9)
    assert "  DIFFERENCE ingested: 9 stored, 2 counted. No reason is known." in run("batch", "summary", "plc")[1]
    Batch.objects.update(ingest_oks=0, ingest_errs=3)
    ended.checks.update(unmatched=2)
    text = run("batch", "summary", "plc")[1]
    assert "  DIFFERENCE failed: 3 stored, 1 counted. 2 of the objects that remained have no record." in text
    Batch.objects.update(import_digest="x")
    ended.records.all().delete()
    assert "No records of it were imported." in run("batch", "summary", "plc")[1]


def test_batches_are_summed_up_by_tag_time_and_record_type(ended: Batch, shelf: Shelf, run: Run) -> None:
    other = shelf.batch("two", "x", "y")
    Batch.objects.filter(pk=other.pk).update(
        added_at=datetime(2026, 3, 31, 22, 30, tzinfo=UTC), archived_at=datetime.now(UTC)
    )
    assert run("batch", "tag", "  Museum  X", "plc", "two") == (0, "Tag Museum X added to 2 batches.\n")
    assert tags_of(ended) == ["Museum X"]
    status, text = run("batch", "summary", "--tag", "Museum X")
    assert status == 0
    lines = [line.split() for line in text.splitlines()]
    columns = "id", "record type", "records", "not mapped", "not uploaded", "uploaded", "in ingest", "ingested"
    assert " ".join(lines[0]) == " ".join([*columns, "failed", "open", "duration"])
    assert lines[1][:10] == ["two", "collectionobject", "2", "0", "0", "2", "2", "0", "0", "0"]
    assert lines[2][:10] == ["plc", "media", "5", "1", "1", "3", "0", "2", "1", "3"]
    assert lines[3] == ["total", "2", "batches", "7", "1", "1", "5", "2", "2", "1", "3"]
    assert "7 records = 1 not mapped + 1 not uploaded + 5 uploaded" in text
    facts = json.loads(run("batch", "summary", "--from", "2026-03-31", "--to", "2026-03-31", "--json")[1])
    assert [one["id"] for one in facts["batches"]] == ["two"]
    assert facts["total"]["in_ingest"] == 2
    rows = list(csv.DictReader(io.StringIO(run("batch", "summary", "--rectype", "media", "--csv")[1])))
    assert [(row["id"], row["records"], row["open"], row["differences"]) for row in rows] == [("plc", "5", "3", "")]
    assert run("batch", "summary", "--tag", "nobody") == (0, "No matching batches.\n")
    assert run("batch", "summary", "--tag", "nobody", "--csv")[1].startswith(
        "id,rectype,action,status,added_at,records,"
    )
    assert run("batch", "list", "--tag", "Museum X")[1].splitlines()[1].split()[0] == "plc"
    assert run("batch", "tag", "Museum X", "plc", "--remove") == (0, "Tag Museum X removed from 1 batch.\n")
    assert tags_of(ended) == []


@pytest.mark.parametrize("text", ["", "  ", "a,b", "x" * 51, "a\tb\x00", "a\u200bb\x07"])
def test_what_is_not_a_tag_is_refused(ended: Batch, run: Run, text: str) -> None:
    status, said = run("batch", "tag", text, "plc")
    assert status == 1
    assert "is not a tag: use 1 to 50 characters" in said
    assert tags_of(ended) == []


def test_a_batch_is_compared_with_its_peers(shelf: Shelf, run: Run) -> None:
    now = datetime.now(UTC)
    for number in range(5):
        peer = shelf.batch(f"p{number}", "a", rectype="media")
        duration = timedelta(minutes=number + 1)
        Batch.objects.filter(pk=peer.pk).update(
            status="ingested", ingest_oks=60, ingest_duration=duration, ingest_done_at=now
        )
    slowest = get_batch("p4")
    usual = usual_rate(slowest)
    assert usual == UsualRate(25.0, 4)
    assert compared(slowest, usual) == "2.1 times as slow as the median of 4 media batches to create"
    assert compared(get_batch("p0"), usual) == "2.4 times as fast as the median of 4 media batches to create"
    assert compared(get_batch("p1"), UsualRate(31.0, 4)) == "as fast as the median of 4 media batches to create"
    Batch.objects.filter(bid__in=["p0", "p1"]).delete()
    assert usual_rate(slowest) is None
    assert "12.0" in run("batch", "summary", "p4")[1]


def test_pages_have_the_same_numbers_and_say_what_does_not_add_up(ended: Batch, client: Client, run: Run) -> None:
    user = User.objects.create_user("viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_batch"))
    client.force_login(user)
    Batch.objects.update(ingest_oks=9)
    for path in ("/batches/plc/summary/", "/batches/summary/?rectype=media"):
        html = client.get(path).content.decode()
        assert "9 stored, 2 counted. No reason is known." in " ".join(html.split())
    response = client.get("/batches/summary/?rectype=media&export=csv")
    text = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    assert text == "\ufeff" + run("batch", "summary", "--csv")[1]
    assert client.get("/batches/summary/?since=never&export=csv").status_code == 400
    assert "No matching batches." in client.get("/batches/summary/?since=never").content.decode()
    assert client.get("/batches/nosuch/summary/").status_code == 404
