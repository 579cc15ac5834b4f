"""Which batches are queued: putting them into the queue, taking them out, and resuming a queue that stopped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from batches.choices import TO_SEND, BatchStatus, StepKind
from batches.ingest.check import ensure_checkable
from batches.models import Batch, BatchRecord
from batches.querysets import STOPS_QUEUE, UPLOAD_IS_ALIVE, select_batches
from batches.step_log import record_step
from batches.upload.run import plan_upload
from core.exceptions import OperationRefused

SAMPLED_FILES = 10
"""One of the first files that are to be sent must be on this machine; others may be missing, as in any upload."""


def batches_to_queue() -> QuerySet[Batch]:
    """Batches with records that wait for their upload, also one that was cut off, the oldest first; without archived ones."""
    batches = select_batches(next_step="upload").exclude(UPLOAD_IS_ALIVE)
    return batches.filter(Exists(BatchRecord.objects.filter(batch=OuterRef("pk")))).order_by("added_at", "pk")


def files_are_here(batch: Batch) -> bool:
    """Whether this machine has the folder of the batch, and files in it that are to be sent."""
    if not batch.folder or not Path(batch.folder).is_dir():
        return False
    to_send = BatchRecord.objects.filter(batch=batch, upload_outcome__in=TO_SEND, file__isnull=False).order_by("row")
    files = list(to_send.values_list("file", flat=True)[:SAMPLED_FILES])
    return not files or any(Path(batch.folder, file or "").is_file() for file in files)


def ensure_queueable(batch: Batch) -> None:
    """Raises OperationRefused unless the batch can be uploaded from this machine, or is in its ingest."""
    if batch.status == BatchStatus.UPLOADED and not batch.upload_is_open and not batch.archived_at:
        ensure_checkable(batch)
        return
    plan_upload(batch)
    if not files_are_here(batch):
        where = f" Queue it on {batch.host}." if batch.host else ""
        raise OperationRefused(f"The files of {batch} are not on this machine ({batch.folder or 'no folder'}).{where}")


def queue_batch(batch: Batch, *, who: str) -> bool:
    """Puts it at the end of the queue; False if it is in the queue already. Raises OperationRefused as `ensure_queueable`."""
    ensure_queueable(batch)
    with transaction.atomic():
        if not batch.queue_upload(who):
            return False
        record_step(batch, StepKind.QUEUE, who)
    return True


def remove_from_queue(batch: Batch, *, who: str) -> None:
    """Takes it out of the queue. An upload that runs is not stopped. Raises OperationRefused if it is not queued."""
    with transaction.atomic():
        if not batch.leave_queue():
            raise OperationRefused(f"{batch} is not queued for upload.")
        record_step(batch, StepKind.UNQUEUE, who)


def resume_queue() -> list[Batch]:
    """Lets a queue that stopped go on; returns the batches it had stopped at, with their `queue_stop` as it was."""
    stops = list(Batch.objects.filter(STOPS_QUEUE).order_by("pk"))
    Batch.objects.filter(pk__in=[batch.pk for batch in stops]).update(queue_stop=None)
    return stops


def bids(batches: Iterable[Batch]) -> str:
    """Their ids in a line."""
    return " ".join(batch.bid for batch in batches)
