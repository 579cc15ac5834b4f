"""Records that the ingest tries again and again: found by the counts and the log, reported, and cleared by themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.choices import RetrySign
from batches.concerns import batch_concerns
from batches.ingest.check import check
from batches.ingest.healing import heal
from batches.ingest.retried import CLOCK_MARGIN
from batches.ingest.rule import CheckOptions
from batches.ingest_log.often_tried import mark_often_tried
from batches.lifecycle.rollback import rollback_ingest
from batches.models import Batch, BatchRecord
from batches.querysets import get_batch
from batches.reports.sheet import batch_sheets
from tests.support.shelf import Shelf

pytest_plugins = ["tests.support.shelf"]
pytestmark = pytest.mark.django_db
Run = Callable[..., tuple[int, str]]
QUICK = CheckOptions(0, 1, 1)


def put(shelf: Shelf, batch: Batch, identifier: str, *, later: timedelta = timedelta()) -> None:
    """Puts the object of a record, with a time that is so much after the upload."""
    path = shelf.bucket / shelf.key(batch.bid, identifier, batch.action)
    path.write_text("<xml/>")
    assert batch.upload_finished
    at = (batch.upload_finished + later).timestamp()
    os.utime(path, (at, at))


def uploaded(shelf: Shelf, identifiers: str) -> Batch:
    """A batch of media that was uploaded some hours ago."""
    batch = shelf.batch("plc", *identifiers, rectype="media")
    ago = timezone.now() - timedelta(hours=3)
    Batch.objects.update(upload_started=ago, upload_finished=ago, ingest_start_time=ago)
    batch.refresh_from_db()
    for identifier in identifiers:
        put(shelf, batch, identifier)
    return batch


def ended(shelf: Shelf, *gone: str) -> Batch:
    batch = uploaded(shelf, "abcde")
    shelf.ingest(batch, *gone)
    check(batch, QUICK, asked_by="w")
    return get_batch("plc")


def retried() -> dict[str, tuple[str, bool]]:
    """By identifier the sign, and whether the object is there."""
    records = BatchRecord.objects.filter(retry_sign__isnull=False).values_list(
        "identifier", "retry_sign", "retry_seen_at"
    )
    return {identifier or "": (sign or "", bool(seen)) for identifier, sign, seen in records}


def concern() -> str:
    return next((one.what for one in batch_concerns() if one.kind == "retried"), "")


def differences() -> list[object]:
    return [difference for sheet in batch_sheets(Batch.objects.all()) for difference in sheet.differences]


def test_an_object_that_is_newer_than_its_upload_was_put_again(shelf: Shelf) -> None:
    batch = uploaded(shelf, "abc")
    put(shelf, batch, "b", later=CLOCK_MARGIN - timedelta(minutes=1))
    put(shelf, batch, "c", later=CLOCK_MARGIN + timedelta(minutes=1))
    check(batch, QUICK, asked_by="w")
    assert retried() == {"c": (RetrySign.PUT_AGAIN, True)}
    assert concern() == "1 object of batch plc tried again and again"


def test_an_ingested_record_whose_object_is_there_again_stays_ingested_and_is_named(shelf: Shelf, run: Run) -> None:
    batch = ended(shelf, "a", "b", "c")
    assert retried() == {}
    put(shelf, batch, "a")
    assert heal(batch)
    assert retried() == {"a": (RetrySign.REAPPEARED, True)}
    assert BatchRecord.objects.get(identifier="a").ingest_outcome == "success"
    sheet = json.loads(run("batch", "summary", "plc", "--json")[1])["total"]
    assert (sheet["ingested"], sheet["failed"], sheet["retried"]) == (3, 2, 1)
    assert "1 tried again and again: look for duplicates in CollectionSpace" in run("batch", "summary", "plc")[1]
    shelf.ingest(batch, "a")
    assert heal(get_batch("plc"))
    assert retried() == {"a": (RetrySign.REAPPEARED, False)}, "it was, and what it did stays to be looked for"
    assert concern() == ""
    assert differences() == []


def test_the_same_names_may_be_other_objects(shelf: Shelf) -> None:
    batch = ended(shelf, "a")
    assert heal(batch)
    put(shelf, batch, "b", later=timedelta(hours=2))
    assert heal(get_batch("plc"))
    assert retried() == {"b": (RetrySign.PUT_AGAIN, True)}


def test_far_more_tries_than_the_others_are_a_sign(shelf: Shelf) -> None:
    batch = ended(shelf, "a", "b")
    for identifier, tries in zip("abcd", (1, 1, 3, 40), strict=True):
        BatchRecord.objects.filter(identifier=identifier).update(tries=tries)
    mark_often_tried(batch, timezone.now())
    assert retried() == {"d": (RetrySign.TRIES, True)}
    assert concern() == "1 object of batch plc tried again and again, up to 40 times"
    BatchRecord.objects.update(tries=40, retry_sign=None, retry_seen_at=None)
    mark_often_tried(batch, timezone.now())
    assert retried() == {}, "all of them as often"


def test_exactly_these_objects_can_be_cleared(shelf: Shelf, run: Run) -> None:
    batch = ended(shelf, "a", "b", "c")
    assert run("batch", "clear", "plc", "--retried", "--yes")[1].startswith("No retried objects of plc remain")
    put(shelf, batch, "a")
    put(shelf, batch, "d", later=timedelta(hours=1))
    assert heal(batch)
    status, text = run("batch", "clear", "plc", "--retried", "--dry-run")
    assert status == 0
    assert text.startswith("2 retried objects of plc remaining")
    assert len(shelf.left()) == 3
    status, text = run("batch", "clear", "plc", "--retried", "--yes")
    assert (status, "plc: 2 objects deleted, of 2 records." in text) == (0, True)
    assert shelf.left() == {shelf.key("plc", "e")}
    outcomes = dict(BatchRecord.objects.values_list("identifier", "upload_outcome"))
    assert outcomes == {"a": "success", "b": "success", "c": "success", "d": "cleared", "e": "success"}
    assert retried() == {"a": (RetrySign.REAPPEARED, False), "d": (RetrySign.PUT_AGAIN, False)}
    assert concern() == ""
    assert differences() == []


def test_clearing_all_leaves_an_ingested_record_ingested(shelf: Shelf, run: Run) -> None:
    put(shelf, ended(shelf, "a", "b", "c"), "a")
    assert run("batch", "clear", "plc", "--yes")[0] == 0
    assert shelf.left() == set()
    assert BatchRecord.objects.get(identifier="a").upload_outcome == "success"
    assert differences() == []


def test_an_undone_result_forgets_the_signs(shelf: Shelf) -> None:
    batch = ended(shelf, "a")
    put(shelf, batch, "a")
    assert heal(batch)
    assert retried()
    rollback_ingest(get_batch("plc"), who="w")
    assert retried() == {}
    assert concern() == ""
