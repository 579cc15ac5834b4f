"""`batch archive`: finished batches go out of the way, and never out of the database."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction

from batches.choices import BatchStatus, StepKind
from batches.models import Batch
from batches.step_log import record_step
from core.exceptions import OperationRefused
from core.processes import is_dead


@dataclass
class ArchiveSummary:
    """What `archive_done` did, by id."""

    archived: list[str] = field(default_factory=list)
    with_objects: list[tuple[str, int]] = field(default_factory=list)
    """Ingested, but not archived, because objects are left: how many."""


def archive(batch: Batch, *, who: str, even_if_ingesting: bool = False, dry_run: bool = False) -> None:
    """Puts the batch out of the way: default lists and `ingstat --all` leave it out, and nothing of it is sent any more.

    All its facts stay. Raises OperationRefused as `ensure_archivable` does.
    """
    ensure_archivable(batch, even_if_ingesting=even_if_ingesting)
    if dry_run:
        return
    with transaction.atomic():
        if not batch.archive():
            raise OperationRefused(f"{batch} was changed by somebody else meanwhile: it is not archived. Try again.")
        record_step(batch, StepKind.ARCHIVE, who)


def ensure_archivable(batch: Batch, *, even_if_ingesting: bool = False) -> None:
    """Raises OperationRefused for one that is archived, is being uploaded, or whose ingest is not over."""
    if batch.archived_at:
        raise OperationRefused(f"{batch} is archived already.")
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}: archive it when that has ended."
        )
    if (batch.upload_is_open or batch.status == BatchStatus.UPLOADED) and not even_if_ingesting:
        raise OperationRefused(
            f"{batch} was uploaded, and its ingest is not known to be over: run `manage.py ingstat {batch}` first, or say"
            " --even-if-ingesting."
        )


def unarchive(batch: Batch, *, who: str, dry_run: bool = False) -> None:
    """Takes the batch back. Raises OperationRefused for one that is not archived."""
    if not batch.archived_at:
        raise OperationRefused(f"{batch} is not archived.")
    if dry_run:
        return
    with transaction.atomic():
        if not batch.unarchive():
            raise OperationRefused(f"{batch} was changed by somebody else meanwhile: it is still archived. Try again.")
        record_step(batch, StepKind.UNARCHIVE, who)


def archive_done(*, who: str, dry_run: bool = False) -> ArchiveSummary:
    """Archives every batch that is ingested and of which no object is left; others keep their place until a person decides."""
    result = ArchiveSummary()
    done = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None).order_by("pk")
    for batch in list(done):
        # Without a number nobody knows; an imported batch can be like that.
        if batch.ingest_errs and not batch.cleared_at:
            result.with_objects.append((batch.bid, batch.ingest_errs))
            continue
        archive(batch, who=who, dry_run=dry_run)
        result.archived.append(batch.bid)
    return result
