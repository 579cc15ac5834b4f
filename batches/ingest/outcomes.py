"""Puts the outcome of a finished ingest on the records of a batch."""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce, Concat, Left

from batches.choices import UNCLEAR, IngestOutcome, UploadOutcome
from batches.ingest.count import RemainingKeys
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.models.record import LONGEST_MESSAGE

GROUP = 500
NEVER_SENT = "Not uploaded: "
UNCERTAIN = "Its upload ended unclearly, and its object is not in the bucket: it may have been ingested, or never sent."


class OutcomeCounts(NamedTuple):
    """What `settle` found."""

    found: int
    """Records whose upload ended unclearly, and whose object is in the bucket: they are marked as uploaded."""
    unmatched: int
    """Keys left that are none of the batch's records."""


def write_outcomes(batch: Batch, remaining: RemainingKeys | None) -> OutcomeCounts:
    """Writes the outcome of every record; `remaining` holds the keys that are left, None for none.

    Call it inside the transaction that writes the result.
    """
    records = BatchRecord.objects.filter(batch=batch)
    _write_what_the_upload_decided(records)
    found = unmatched = 0
    for keys in remaining.groups(GROUP) if remaining else ():
        left = records.filter(key_digest__in=[digest(key) for key in keys])
        found += left.filter(upload_outcome__in=UNCLEAR).update(
            upload_outcome=UploadOutcome.SUCCESS, upload_message=None
        )
        unmatched += len(keys) - left.update(ingest_outcome=IngestOutcome.FAILURE, ingest_message=None)
    return OutcomeCounts(found, unmatched)


def _write_what_the_upload_decided(records: QuerySet[BatchRecord]) -> None:
    """The outcomes as if nothing were left: skipped, failed in the upload, uncertain, or ingested."""
    why = Left(Concat(Value(NEVER_SENT), Coalesce(F("upload_message"), F("upload_outcome"))), LONGEST_MESSAGE)
    sent = records.filter(upload_outcome=UploadOutcome.SUCCESS)
    unclear = records.filter(upload_outcome__in=UNCLEAR)
    others = records.exclude(upload_outcome__in=[UploadOutcome.SUCCESS, *UNCLEAR])
    sent.update(ingest_outcome=IngestOutcome.SUCCESS, ingest_message=None)
    unclear.update(ingest_outcome=IngestOutcome.UNCERTAIN, ingest_message=UNCERTAIN)
    others.filter(key=None).update(ingest_outcome=IngestOutcome.SKIP, ingest_message=why)
    others.exclude(key=None).update(ingest_outcome=IngestOutcome.FAILURE, ingest_message=why)
