"""`batch clear`: deletes the remaining objects of one batch from its bucket; a CSV keeps their names and keys.

Records are marked before their objects are deleted: after a crash, no check takes a deleted object for an ingested one.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from batches import remaining
from batches.choices import UNCLEAR, BatchStatus, StepKind, UploadOutcome
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.step_log import start_step
from batches.store import key_base, store_url
from core.exceptions import OperationRefused
from core.files import write_atomically
from core.processes import is_dead
from objectstores import open_store

GROUP_SIZE = 500
CLEARED_MESSAGE = "its object was deleted by `batch clear`"
UNCERTAIN_MESSAGE = "its object was deleted while it may still have been ingesting: it may have been ingested"


@dataclass
class ClearResult:
    """What was deleted."""

    objects: int
    records: int
    """How many of the objects belong to records of the batch."""
    path: Path | None
    """The CSV that lists them; None: there was nothing to delete."""


def ensure_clearable(batch: Batch, *, even_if_ingesting: bool = False) -> None:
    """Raises OperationRefused unless its objects can be deleted now."""
    if batch.archived_at:
        raise OperationRefused(f"{batch} is archived. Unarchive it first: manage.py batch archive {batch} --undo")
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}. Clear it when the upload has ended."
        )
    if batch.upload_is_open and not even_if_ingesting:
        raise OperationRefused(
            f"The upload of {batch} is unfinished, so some of its objects may be ingesting. Finish it with"
            f" `manage.py batch upload {batch}`, or use --even-if-ingesting."
        )
    if batch.status == BatchStatus.UPLOADED and not even_if_ingesting:
        raise OperationRefused(
            f"{batch} may still be ingesting, and an object that is deleted now may be ingested anyway."
            f" Run `manage.py ingstat {batch}` until it is complete, or use --even-if-ingesting."
        )


def clear(
    batch: Batch,
    *,
    who: str,
    even_if_ingesting: bool = False,
    on_progress: Callable[[int, int], None] = lambda _deleted, _total: None,
) -> ClearResult:
    """Deletes the remaining objects of the batch. If it is interrupted, run it again.

    First it writes the CSV, from one complete listing (REPORTS_DIR/<bid>/cleared_<time>.csv). Then, a group at a time,
    it marks records and deletes their objects: as *cleared* after a finished ingest, otherwise as *uncertain*. `on_progress`
    gets how many are deleted, and the total. Raises OperationRefused, StoreError, and OSError if the CSV can't be written.
    """
    ensure_clearable(batch, even_if_ingesting=even_if_ingesting)
    folder = Path(settings.REPORTS_DIR) / batch.bid
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cleared_{timezone.now():%Y%m%dT%H%M%S%fZ}.csv"
    with closing(open_store(store_url(batch))) as store:
        with write_atomically(path) as file:
            total = remaining.write_csv(file, remaining.remaining_objects(store, batch.bid))
        if not total:
            path.unlink()
            return ClearResult(0, 0, None)
        step = start_step(batch, StepKind.CLEAR, who, note=f"{total} objects to delete: {path.name}")
        base, deleted, records = key_base(store.url), 0, 0
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            while keys := [row["key"] for row in islice(rows, GROUP_SIZE)]:
                records += _mark_records(batch, keys)
                deleted += store.delete(base + key for key in keys)
                on_progress(deleted, total)
    step.end(touched=deleted)
    return ClearResult(deleted, records, path)


def _mark_records(batch: Batch, keys: list[str]) -> int:
    """Marks the records of these keys as deleted; returns how many there are."""
    records = BatchRecord.objects.filter(batch=batch, key_digest__in=[digest(key) for key in keys])
    ingested = batch.status == BatchStatus.INGESTED
    outcome, message = UploadOutcome.UNCERTAIN, UNCERTAIN_MESSAGE
    if ingested:
        outcome, message = UploadOutcome.CLEARED, CLEARED_MESSAGE
    with transaction.atomic():
        lost = 0 if ingested else records.filter(upload_outcome=UploadOutcome.SUCCESS).count()
        if not batch.record_clearing(lost=lost):
            raise OperationRefused(f"Clearing of {batch} stopped: it was uploaded, checked or rolled back meanwhile.")
        sent = records.filter(upload_outcome__in=[UploadOutcome.SUCCESS, *UNCLEAR])
        sent.update(upload_outcome=outcome, upload_message=message)
    return records.count()
