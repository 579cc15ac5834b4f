"""Takes the outcome of a step back, so that it can be done again; what was counted and done stays (design.md, promise 3)."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from batches import remaining
from batches.choices import BatchStatus, StepKind, UploadOutcome
from batches.models import Batch, BatchRecord, IngestCheck
from batches.step_log import record_step
from core.exceptions import OperationRefused
from core.processes import is_dead

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


def rollback_ingest(batch: Batch, *, who: str, dry_run: bool = False) -> int:
    """Clears the result of a batch's ingest and the ingest outcome of its records; returns how many records had one.

    Its checks and counts are history and stay. Raises Refused when there is no result to take back.
    """
    records = BatchRecord.objects.filter(batch=batch).exclude(ingest_outcome=None)
    with transaction.atomic():
        left_over = f"{batch.ingest_oks} ingested, {batch.ingest_errs} left"
        cleared = batch.cleared_at and batch.ingest_done_at and batch.cleared_at > batch.ingest_done_at
        if not batch.rollback_ingest():
            raise OperationRefused(f"{batch} has no result of ingest to take back (it is {_state(batch)}).")
        changed = records.update(
            ingest_outcome=None, ingest_message=None, ingest_candidate=None, tries=None, healed_at=None
        )
        if cleared:
            sent = BatchRecord.objects.filter(batch=batch, upload_outcome=UploadOutcome.SUCCESS)
            batch.subtract_cleared(uploaded=sent.count())
        # What went on with the result taken back does not go on with the next one.
        IngestCheck.objects.filter(batch=batch, verdict=None, problem=None).update(problem="the result was taken back")
        record_step(batch, StepKind.ROLLBACK_INGEST, who, note=left_over, touched=changed)
        transaction.set_rollback(dry_run)
    return changed


def rollback_upload(batch: Batch, *, who: str, dry_run: bool = False) -> UploadRollback:
    """Takes the upload of a batch back: what was refused or cleared is to be sent again, and what was put and is gone is
    *uncertain*, for it may have been ingested (promise 9).

    Its runs are history and stay. Asks the store, because an object that is still there would be ingested twice when it is
    put again. Raises Refused, saying what has to be done first, and StoreError.
    """
    _ensure_upload_can_be_undone(batch)
    still = remaining.summary(batch).number
    if still:
        raise OperationRefused(
            f"{still} objects of {batch} are still in the bucket, and would be ingested twice if they were sent again."
            f" Let the ingest end (manage.py ingstat {batch}), then delete what is left: manage.py batch clear {batch}"
        )
    records = BatchRecord.objects.filter(batch=batch)
    with transaction.atomic():
        record_step(batch, StepKind.ROLLBACK_UPLOAD, who)
        if not batch.rollback_upload():
            raise OperationRefused(f"{batch} was changed by somebody else meanwhile: nothing was taken back.")
        again = records.filter(key__isnull=False, upload_outcome__in=[UploadOutcome.FAILURE, UploadOutcome.CLEARED])
        gone = records.filter(upload_outcome__in=[UploadOutcome.SUCCESS, UploadOutcome.SENDING])
        to_send = again.update(upload_outcome=UploadOutcome.PENDING, upload_message=None)
        gone.update(upload_outcome=UploadOutcome.UNCERTAIN, upload_message=WAS_UPLOADED)
        taken = UploadRollback(to_send, records.filter(upload_outcome=UploadOutcome.UNCERTAIN).count())
        transaction.set_rollback(dry_run)
    return taken


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


def _state(batch: Batch) -> str:
    return f"{batch.status} and archived" if batch.archived_at else str(batch.status)
