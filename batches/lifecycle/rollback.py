"""Undoes the outcome of a step, so that it can be repeated; its history stays (design.md, promise 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from batches.choices import BatchStatus, StepKind, UploadOutcome
from batches.models import Batch, BatchRecord, IngestCheck
from batches.remaining import forget_retried, summarize_remaining
from batches.step_log import record_step
from core.exceptions import OperationRefused
from core.processes import is_dead

SEND_AGAIN = (UploadOutcome.FAILURE, UploadOutcome.CLEARED)
SENT = (UploadOutcome.SUCCESS, UploadOutcome.SENDING)
GONE_MESSAGE = "it was uploaded before the rollback, and its object has left the bucket: it may have been ingested"


@dataclass(frozen=True)
class UploadRollback:
    """What the rollback of an upload changes, in records."""

    to_send: int
    """The next upload sends them again."""
    uncertain: int
    """They have left the bucket: sent again only with --resend-uncertain."""


def rollback_ingest(batch: Batch, *, who: str) -> int:
    """Clears the result of a batch's ingest and the ingest outcome of its records; returns how many records had one.

    Its checks and counts stay in the history. Raises OperationRefused if there is no result.
    """
    with transaction.atomic():
        note = f"{batch.ingest_oks} ingested, {batch.ingest_errs} remaining"
        cleared = batch.cleared_at and batch.ingest_done_at and batch.cleared_at > batch.ingest_done_at
        if not batch.rollback_ingest():
            raise _no_result(batch)
        changed = _records_with_ingest_outcome(batch).update(
            ingest_outcome=None,
            ingest_message=None,
            ingest_detail=None,
            ingest_candidate=None,
            tries=None,
            healed_at=None,
            retry_sign=None,
            retry_seen_at=None,
        )
        if cleared:
            sent = BatchRecord.objects.filter(batch=batch, upload_outcome=UploadOutcome.SUCCESS)
            batch.subtract_cleared(uploaded=sent.count())
        # Unfinished checks of this result don't continue with the next one.
        IngestCheck.objects.filter(batch=batch, verdict=None, problem=None).update(problem="the result was undone")
        record_step(batch, StepKind.ROLLBACK_INGEST, who, note=note, touched=changed)
    return changed


def count_ingest_rollback(batch: Batch) -> int:
    """What `rollback_ingest` would return, and raise. Writes nothing."""
    if batch.status != BatchStatus.INGESTED or batch.archived_at:
        raise _no_result(batch)
    return _records_with_ingest_outcome(batch).count()


def rollback_upload(batch: Batch, *, who: str) -> UploadRollback:
    """Undoes the upload of a batch: failed and cleared records will be sent again, and records that have left the bucket become
    *uncertain*, because they may have been ingested (promise 9).

    Its runs stay in the history. Asks the store, because an object that is still there would be ingested twice if it were
    put again. Raises OperationRefused, saying what to do first, and StoreError.
    """
    _ensure_upload_can_be_undone(batch)
    with transaction.atomic():
        record_step(batch, StepKind.ROLLBACK_UPLOAD, who)
        if not batch.rollback_upload():
            raise OperationRefused(f"Nothing was undone: another process changed {batch}. Try again.")
        forget_retried(batch)
        to_send = _records(batch, SEND_AGAIN).update(upload_outcome=UploadOutcome.PENDING, upload_message=None)
        _records(batch, SENT).update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=GONE_MESSAGE)
        return UploadRollback(to_send, _records(batch, [UploadOutcome.UNCERTAIN]).count())


def count_upload_rollback(batch: Batch) -> UploadRollback:
    """What `rollback_upload` would return, and raise. Writes nothing."""
    _ensure_upload_can_be_undone(batch)
    uncertain = _records(batch, [*SENT, UploadOutcome.UNCERTAIN])
    return UploadRollback(_records(batch, SEND_AGAIN).count(), uncertain.count())


def _records_with_ingest_outcome(batch: Batch) -> QuerySet[BatchRecord]:
    return BatchRecord.objects.filter(batch=batch).exclude(ingest_outcome=None)


def _records(batch: Batch, outcomes: Sequence[UploadOutcome]) -> QuerySet[BatchRecord]:
    records = BatchRecord.objects.filter(batch=batch, upload_outcome__in=outcomes)
    return records.filter(key__isnull=False) if outcomes is SEND_AGAIN else records


def _no_result(batch: Batch) -> OperationRefused:
    state = f"{batch.status}, archived" if batch.archived_at else str(batch.status)
    return OperationRefused(f"{batch} has no ingest result to undo (status: {state}).")


def _ensure_upload_can_be_undone(batch: Batch) -> None:
    if batch.archived_at:
        raise OperationRefused(f"{batch} is archived. Unarchive it first: manage.py batch archive {batch} --undo")
    if batch.status == BatchStatus.INGESTED:
        raise OperationRefused(
            f"{batch} is ingested. Undo the ingest result first: manage.py batch rollback {batch} ingest"
        )
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}. Stop it first (Ctrl-C)."
        )
    if not batch.was_uploaded:
        raise OperationRefused(f"{batch} has no upload to undo (status: {batch.status}).")
    if number := summarize_remaining(batch).number:
        raise OperationRefused(
            f"{number} objects of {batch} are still in the bucket and would be ingested twice if they were sent again."
            f" Wait until the ingest ends (manage.py ingstat {batch}), then delete them: manage.py batch clear {batch}"
        )
