"""Records that the ingest tries again and again: media, for instance, for which it gives up after half a minute, though the
record may have been created by then. Each try may create another one.

Three signs: the object was put again after the upload, the record was ingested and its object is there again, or the ingest log
has far more tries of it than of the others (`batches.ingest_log.often_tried`). Counts see the first two in the listing that they
make anyway.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from batches.choices import IngestOutcome, RetrySign
from batches.ingest.count import RemainingKeys
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.remaining import forget_retried

GROUP_SIZE = 500
CLOCK_MARGIN = timedelta(minutes=15)
"""An object that is this much newer than the upload was put again: S3 refuses requests from a clock that is further off (AWS
General Reference, Signature Version 4)."""


def put_again_after(batch: Batch) -> datetime | None:
    """An object of the batch that is newer was put again; None: when it was uploaded is not known, or there can't be any yet.

    Of an upload elsewhere, an import may know only the day.
    """
    if not batch.upload_finished or not batch.upload_runs:
        return None
    moment = batch.upload_finished + CLOCK_MARGIN
    return moment if moment < timezone.now() else None


def mark_put_again(batch: Batch, remaining: RemainingKeys, now: datetime) -> None:
    """Marks records whose object was put again. Call it in the transaction that saves the count."""
    for keys in remaining.groups(GROUP_SIZE, put_again=True):
        records = BatchRecord.objects.filter(batch=batch, key_digest__in=[digest(key) for key in keys])
        records.update(retry_sign=RetrySign.PUT_AGAIN, retry_seen_at=now)


def mark_present(batch: Batch, remaining: RemainingKeys | None, now: datetime) -> None:
    """After a count: marks records whose object was put again or reappeared, and those with a sign whose object is there.

    Call it in the transaction that writes the outcomes, after them. `remaining` None: nothing remains.
    """
    records = BatchRecord.objects.filter(batch=batch)
    forget_retried(batch)
    if remaining is None:
        return
    mark_put_again(batch, remaining, now)
    for keys in remaining.groups(GROUP_SIZE):
        present = records.filter(key_digest__in=[digest(key) for key in keys])
        reappeared = present.filter(ingest_outcome=IngestOutcome.SUCCESS, retry_sign=None)
        reappeared.update(retry_sign=RetrySign.REAPPEARED)
        present.filter(retry_sign__isnull=False).update(retry_seen_at=now)
