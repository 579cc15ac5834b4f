"""The outcome of a step is taken back, and its history stays."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from batches.choices import BatchStatus, IngestOutcome, UploadOutcome, Verdict
from batches.ingest.check import check
from batches.ingest.rule import CheckOptions
from batches.keys import digest, encode
from batches.lifecycle.clear import clear
from batches.lifecycle.rollback import rollback_ingest, rollback_upload
from batches.models import Batch, BatchRecord, BatchStep, IngestCheck
from batches.upload.run import upload_batch
from core.exceptions import OperationRefused

if TYPE_CHECKING:
    from tests.support.shelf import Shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ingested() -> Batch:
    now = timezone.now()
    result: dict[str, Any] = {
        "ingest_done_at": now,
        "ingest_complete_time": now,
        "ingest_duration": timedelta(seconds=9),
        "ingest_errs": 1,
        "ingest_oks": 1,
    }
    batch = Batch.objects.create(
        bid="plc", rectype="collectionobject", action="CREATE", status=BatchStatus.INGESTED, upload_oks=2, **result
    )
    for row, outcome in ((1, IngestOutcome.SUCCESS), (2, IngestOutcome.FAILURE)):
        key = encode("plc", "/collectionobjects", f"r{row}", "CREATE")
        BatchRecord.objects.create(
            batch=batch,
            row=row,
            key=key,
            key_digest=digest(key),
            upload_outcome=UploadOutcome.SUCCESS,
            ingest_outcome=outcome,
        )
    IngestCheck.objects.create(
        batch=batch,
        started_at=now,
        finished_at=now,
        store="s3://b",
        sleep_seconds=1.5,
        checks=1,
        rechecks=1,
        verdict=Verdict.COMPLETE_WITH_ERRORS,
        remaining=1,
        asked_by="me",
        host="here",
    )
    return batch


def test_a_result_is_taken_back_and_its_history_stays(ingested: Batch) -> None:
    call_command("batch", "rollback", "plc", "ingest", "--yes")
    ingested.refresh_from_db()
    assert (ingested.status, ingested.ingest_errs, ingested.ingest_oks) == (BatchStatus.UPLOADED, None, None)
    assert (ingested.ingest_done_at, ingested.ingest_complete_time, ingested.ingest_duration) == (None, None, None)
    assert ingested.upload_oks == 2
    assert list(BatchRecord.objects.values_list("ingest_outcome", flat=True)) == [None, None]
    assert IngestCheck.objects.get().remaining == 1


@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_nothing_is_taken_back_for_show_or_unasked(ingested: Batch, options: list[str]) -> None:
    try:
        call_command("batch", "rollback", "plc", "ingest", *options)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == (0 if options else 1)
    ingested.refresh_from_db()
    assert ingested.status == BatchStatus.INGESTED
    assert BatchRecord.objects.exclude(ingest_outcome=None).count() == 2


def test_a_batch_without_a_result_is_refused(ingested: Batch) -> None:
    call_command("batch", "rollback", "plc", "ingest", "--yes")
    with pytest.raises(CommandError, match="no ingest result to undo"):
        call_command("batch", "rollback", "plc", "ingest", "--yes")


def test_the_history_says_who_took_back_what(ingested: Batch) -> None:
    rollback_ingest(ingested, who="somebody")
    step = BatchStep.objects.get()
    assert (step.kind, step.who, step.touched, step.note) == (
        "rollback_ingest",
        "somebody",
        2,
        "1 ingested, 1 remaining",
    )


def test_an_upload_is_taken_back_and_sent_again_only_where_nothing_can_be_created_twice(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "ingested", "failed", "refused")
    batch.records.filter(identifier="refused").update(upload_outcome="failure", upload_message="403")
    shelf.ingest(batch, "ingested", "refused")
    check(batch, CheckOptions(sleep=0), asked_by="me")
    clear(batch, who="me")
    rollback_ingest(batch, who="me")
    taken = rollback_upload(batch, who="me")
    assert (taken.to_send, taken.uncertain) == (2, 1)
    assert shelf.outcomes(batch) == ["uncertain", "pending", "pending"]
    batch.refresh_from_db()
    assert (batch.status, batch.upload_oks, batch.upload_errs, batch.uploaded_at) == ("added", None, None, None)
    assert (batch.ingest_start_time, batch.upload_started, batch.upload_finished) == (None, None, None)
    again = upload_batch(batch, who="me")
    assert again.outcomes == {"success": 2, "uncertain": 1}
    assert shelf.left() == {shelf.key("plc", "failed"), shelf.key("plc", "refused")}
    assert [step.kind for step in batch.steps.order_by("pk")] == [
        "clear",
        "rollback_ingest",
        "rollback_upload",
        "upload",
    ]
    back, sent = batch.steps.order_by("pk")[2:]
    assert (back.oks, back.errs) == (1, 2), "what is taken back stays in the history"
    assert (sent.oks, sent.errs, sent.who, sent.ended_at is None) == (2, 1, "me", False)


def test_an_upload_whose_objects_are_still_there_is_not_taken_back(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x")
    with pytest.raises(OperationRefused, match=r"1 objects of plc are still in the bucket.*batch clear plc"):
        rollback_upload(batch, who="me")
    assert shelf.outcomes(batch) == ["success"]
    assert not BatchStep.objects.exists()


def test_out_of_order_it_is_refused_with_the_way_out(shelf: Shelf, ingested: Batch) -> None:
    with pytest.raises(OperationRefused, match="batch rollback plc ingest"):
        rollback_upload(ingested, who="me")
    ingested.archived_at = timezone.now()
    with pytest.raises(OperationRefused, match="batch archive plc --undo"):
        rollback_upload(ingested, who="me")
    batch = shelf.batch("new", "x")
    batch.status, batch.upload_started, batch.uploaded_at = "added", None, None
    with pytest.raises(OperationRefused, match="has no upload to undo"):
        rollback_upload(batch, who="me")
    batch = shelf.batch("runs", "x")
    batch.upload_finished, batch.upload_owner, batch.upload_pid, batch.upload_host = None, "token", 7, "elsewhere"
    with pytest.raises(OperationRefused, match="process 7 on elsewhere"):
        rollback_upload(batch, who="me")


def test_the_command_takes_an_upload_back(shelf: Shelf) -> None:
    batch = shelf.batch("plc", "x")
    shelf.ingest(batch, "x")
    call_command("batch", "rollback", "plc", "upload", "--dry-run")
    assert shelf.outcomes(batch) == ["success"]
    call_command("batch", "rollback", "plc", "upload", "--yes")
    assert shelf.outcomes(batch) == ["uncertain"]
