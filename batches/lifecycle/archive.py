"""`batch archive`: hides batches that are done; nothing is deleted."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction

from batches.choices import BatchStatus, StepKind
from batches.models import Batch, BatchRecord
from batches.querysets import OBJECT_REMAINS
from batches.step_log import record_step
from core.exceptions import OperationRefused
from core.processes import is_dead


@dataclass
class ArchiveSummary:
    """What `archive_done` did, by id."""

    archived: list[str] = field(default_factory=list)
    with_objects: list[tuple[str, int]] = field(default_factory=list)
    """Ingested, but not archived because objects remain: how many."""


def archive(batch: Batch, *, who: str, even_if_ingesting: bool = False, dry_run: bool = False) -> None:
    """Archives the batch: default lists and `ingstat --all` leave it out, and it can't be uploaded.

    All its data stays. Raises OperationRefused as `ensure_archivable` does.
    """
    ensure_archivable(batch, even_if_ingesting=even_if_ingesting)
    if dry_run:
        return
    with transaction.atomic():
        if not batch.archive():
            raise OperationRefused(f"{batch} was not archived because another process changed it. Try again.")
        record_step(batch, StepKind.ARCHIVE, who)


def ensure_archivable(batch: Batch, *, even_if_ingesting: bool = False) -> None:
    """Raises OperationRefused for a batch that is archived, is being uploaded, or may still be ingesting."""
    if batch.archived_at:
        raise OperationRefused(f"{batch} is already archived.")
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}."
            " Archive it when the upload has ended."
        )
    if (batch.upload_is_open or batch.status == BatchStatus.UPLOADED) and not even_if_ingesting:
        raise OperationRefused(
            f"{batch} was uploaded and may still be ingesting. Run `manage.py ingstat {batch}` first, or use"
            " --even-if-ingesting."
        )


def unarchive(batch: Batch, *, who: str, dry_run: bool = False) -> None:
    """Unarchives the batch. Raises OperationRefused if it is not archived."""
    if not batch.archived_at:
        raise OperationRefused(f"{batch} is not archived.")
    if dry_run:
        return
    with transaction.atomic():
        if not batch.unarchive():
            raise OperationRefused(f"{batch} was not unarchived because another process changed it. Try again.")
        record_step(batch, StepKind.UNARCHIVE, who)


def archive_done(*, who: str, dry_run: bool = False) -> ArchiveSummary:
    """Archives every batch that is ingested and of which no objects remain; the others are left to the user."""
    summary = ArchiveSummary()
    ingested = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None).order_by("pk")
    for batch in list(ingested):
        # An imported batch may have no number; it counts as none.
        objects = batch.ingest_errs or 0
        if objects and batch.cleared_at:
            # Perhaps not all were deleted.
            objects = BatchRecord.objects.filter(OBJECT_REMAINS, batch=batch).count()
        if objects:
            summary.with_objects.append((batch.bid, objects))
            continue
        archive(batch, who=who, dry_run=dry_run)
        summary.archived.append(batch.bid)
    return summary
