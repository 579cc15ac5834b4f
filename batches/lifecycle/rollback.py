"""Takes the outcome of a step back, so that it can be done again; what was counted and done stays (design.md, promise 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from batches import remaining
from batches.choices import BatchStatus, StepKind, UploadOutcome
from batches.models import Batch, BatchRecord, IngestCheck
from batches.step_log import record_step
from core.exceptions import OperationRefused
from core.processes import is_dead

TO_SEND_AGAIN = (UploadOutcome.FAILURE, UploadOutcome.CLEARED)
WAS_SENT = (UploadOutcome.SUCCESS, UploadOutcome.SENDING)
WAS_UPLOADED = (
    "it was uploaded before that upload was taken back, and its object left the bucket: it may have been ingested"
)


@dataclass(frozen=True)
class UploadRollback:
    """What the rollback of an upload changes, in records."""

    to_send: int
    """They will be sent again."""
    uncertain: int
    """They were put and are gone: sent again only with --resend-uncertain."""


def rollback_ingest(batch: Batch, *, who: str) -> int:
    """Clears the result of a batch's ingest and the ingest outcome of its records; returns how many records had one.

    Its checks and counts are history and stay. Raises OperationRefused when there is no result to take back.
    """
    with transaction.atomic():
        left_over = f"{batch.ingest_oks} ingested, {batch.ingest_errs} left"
        cleared = batch.cleared_at and batch.ingest_done_at and batch.cleared_at > batch.ingest_done_at
        if not batch.rollback_ingest():
            raise _no_result(batch)
        changed = _with_ingest_outcome(batch).update(
            ingest_outcome=None, ingest_message=None, ingest_candidate=None, tries=None, healed_at=None
        )
        if cleared:
            sent = BatchRecord.objects.filter(batch=batch, upload_outcome=UploadOutcome.SUCCESS)
            batch.subtract_cleared(uploaded=sent.count())
        # What went on with the result taken back does not go on with the next one.
        IngestCheck.objects.filter(batch=batch, verdict=None, problem=None).update(problem="the result was taken back")
        record_step(batch, StepKind.ROLLBACK_INGEST, who, note=left_over, touched=changed)
    return changed


def count_ingest_rollback(batch: Batch) -> int:
    """What `rollback_ingest` would return, and raise. Writes nothing."""
    if batch.status != BatchStatus.INGESTED or batch.archived_at:
        raise _no_result(batch)
    return _with_ingest_outcome(batch).count()


def rollback_upload(batch: Batch, *, who: str) -> UploadRollback:
    """Takes the upload of a batch back: what was refused or cleared is to be sent again, and what was put and is gone is
    *uncertain*, for it may have been ingested (promise 9).

    Its runs are history and stay. Asks the store, because an object that is still there would be ingested twice when it is
    put again. Raises OperationRefused, saying what has to be done first, and StoreError.
    """
    _ensure_upload_can_be_undone(batch)
    with transaction.atomic():
        record_step(batch, StepKind.ROLLBACK_UPLOAD, who)
        if not batch.rollback_upload():
            raise OperationRefused(f"{batch} was changed by somebody else meanwhile: nothing was taken back.")
        to_send = _records(batch, TO_SEND_AGAIN).update(upload_outcome=UploadOutcome.PENDING, upload_message=None)
        _records(batch, WAS_SENT).update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=WAS_UPLOADED)
        return UploadRollback(to_send, _records(batch, [UploadOutcome.UNCERTAIN]).count())


def count_upload_rollback(batch: Batch) -> UploadRollback:
    """What `rollback_upload` would return, and raise. Writes nothing."""
    _ensure_upload_can_be_undone(batch)
    uncertain = _records(batch, [*WAS_SENT, UploadOutcome.UNCERTAIN])
    return UploadRollback(_records(batch, TO_SEND_AGAIN).count(), uncertain.count())


def _with_ingest_outcome(batch: Batch) -> QuerySet[BatchRecord]:
    return BatchRecord.objects.filter(batch=batch).exclude(ingest_outcome=None)


def _records(batch: Batch, outcomes: Sequence[UploadOutcome]) -> QuerySet[BatchRecord]:
    records = BatchRecord.objects.filter(batch=batch, upload_outcome__in=outcomes)
    return records.filter(key__isnull=False) if outcomes is TO_SEND_AGAIN else records


def _no_result(batch: Batch) -> OperationRefused:
    state = f"{batch.status} and archived" if batch.archived_at else str(batch.status)
    return OperationRefused(f"{batch} has no result of ingest to take back (it is {state}).")


def _ensure_upload_can_be_undone(batch: Batch) -> None:
    if batch.archived_at:
        raise OperationRefused(
            f"{batch} is archived. To work on it, take it back first: manage.py batch archive {batch} --undo"
        )
    if batch.status == BatchStatus.INGESTED:
        raise OperationRefused(
            f"{batch} is ingested. Take that result back first: manage.py batch rollback {batch} ingest"
        )
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}: stop that first (Ctrl-C)."
        )
    if batch.upload_started is None and batch.uploaded_at is None:
        raise OperationRefused(f"{batch} has no upload to take back (it is {batch.status}).")
    still = remaining.summary(batch).number
    if still:
        raise OperationRefused(
            f"{still} objects of {batch} are still in the bucket, and would be ingested twice if they were sent again."
            f" Let the ingest end (manage.py ingstat {batch}), then delete what is left: manage.py batch clear {batch}"
        )
