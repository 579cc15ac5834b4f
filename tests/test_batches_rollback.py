"""A result of ingest is taken back, and its history stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from batches.choices import BatchStatus, IngestOutcome, UploadOutcome, Verdict
from batches.keys import digest, encode
from batches.models import Batch, BatchRecord, IngestCheck

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
    with pytest.raises(CommandError, match="no result"):
        call_command("batch", "rollback", "plc", "ingest", "--yes")
