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
from batches.choices import UNCLEAR, BatchStatus, IngestOutcome, StepKind, UploadOutcome
from batches.keys import digest
from batches.models import Batch, BatchRecord
from batches.step_log import start_step
from batches.store import key_base, store_url
from core.exceptions import OperationRefused
from core.files import write_atomically
from core.formatting import pluralize
from core.processes import is_dead
from objectstores import Denied, Store, StoreError, open_store

GROUP_SIZE = 500
_RESTORED = ("upload_outcome", "upload_message", "retry_seen_at")
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
    kept: int = 0
    """How many objects the store refused to delete; their records are as before."""
    kept_reason: str = ""
    """What it said about one of them."""

    @property
    def kept_text(self) -> str:
        """What was not deleted, and why; empty if all was."""
        if not self.kept:
            return ""
        return (
            f"{pluralize(self.kept, 'object')} not deleted, their records are unchanged: {self.kept_reason}. Check the"
            " permission to delete, and the retention of the bucket (Object Lock); then run it again."
        )


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
    only_retried: bool = False,
    on_progress: Callable[[int, int], None] = lambda _deleted, _total: None,
) -> ClearResult:
    """Deletes the remaining objects of the batch, or only those that are retried. If it is interrupted, run it again.

    First it writes the CSV, from one complete listing (REPORTS_DIR/<bid>/cleared_<time>.csv). Then, a group at a time,
    it marks records and deletes their objects: as *cleared* after a finished ingest, otherwise as *uncertain*. `on_progress`
    gets how many are deleted, and the total. Objects that the store keeps (a retention) are counted, and their records keep
    their outcome. Raises OperationRefused, StoreError, and OSError if the CSV can't be written.
    """
    ensure_clearable(batch, even_if_ingesting=even_if_ingesting)
    folder = Path(settings.REPORTS_DIR) / batch.bid
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cleared_{timezone.now():%Y%m%dT%H%M%S%fZ}.csv"
    with closing(open_store(store_url(batch))) as store:
        with write_atomically(path) as file:
            retried = remaining.retried_objects(store, batch)
            total = remaining.write_csv(
                file, retried if only_retried else remaining.remaining_objects(store, batch.bid)
            )
        if not total:
            path.unlink()
            remaining.forget_retried(batch)
            return ClearResult(0, 0, None)
        step = start_step(batch, StepKind.CLEAR, who, note=f"{total} objects to delete: {path.name}")
        base = key_base(store.url)
        result = ClearResult(0, 0, path)
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            while keys := [row["key"] for row in islice(rows, GROUP_SIZE)]:
                _clear_group(batch, store, base, keys, result)
                on_progress(result.objects, total)
    if not result.kept:
        remaining.forget_retried(batch)
    step.end(touched=result.objects)
    return result


def _clear_group(batch: Batch, store: Store, base: str, keys: list[str], result: ClearResult) -> None:
    records = BatchRecord.objects.filter(batch=batch, key_digest__in=[digest(key) for key in keys])
    before = list(records.only(*_RESTORED, "key"))
    outcome, message = UploadOutcome.UNCERTAIN, UNCERTAIN_MESSAGE
    ingested = batch.status == BatchStatus.INGESTED
    if ingested:
        outcome, message = UploadOutcome.CLEARED, CLEARED_MESSAGE
    with transaction.atomic():
        lost = 0 if ingested else records.filter(upload_outcome=UploadOutcome.SUCCESS).count()
        if not batch.record_clearing(lost=lost):
            raise OperationRefused(f"Clearing of {batch} stopped: it was uploaded, checked or rolled back meanwhile.")
        sent = records.filter(upload_outcome__in=[UploadOutcome.SUCCESS, *UNCLEAR])
        if ingested:
            # Of an ingested record, the object that is there again would only be ingested twice.
            sent = sent.exclude(ingest_outcome=IngestOutcome.SUCCESS)
        sent.update(upload_outcome=outcome, upload_message=message)
        records.filter(retry_seen_at__isnull=False).update(retry_seen_at=None)
    refused: frozenset[str] = frozenset()
    try:
        store.delete(base + key for key in keys)
    except StoreError as error:
        refused = frozenset(key for key in keys if base + key in error.refused)
        if not refused:
            if isinstance(error, Denied):
                # Nothing was deleted, unless it was refused in the middle, or after an attempt that ended unclearly.
                still = {item.key for item in remaining.remaining_objects(store, batch.bid)}
                _restore_records(batch, [record for record in before if record.key in still])
            raise
        result.kept_reason = str(error)
    kept = [record for record in before if record.key in refused]
    _restore_records(batch, kept)
    result.objects += len(keys) - len(refused)
    result.kept += len(refused)
    result.records += len(before) - len(kept)


def _restore_records(batch: Batch, records: list[BatchRecord]) -> None:
    """Gives records whose objects were not deleted their outcome back."""
    ingested = batch.status == BatchStatus.INGESTED
    found = 0 if ingested else sum(record.upload_outcome == UploadOutcome.SUCCESS for record in records)
    with transaction.atomic():
        if records and not batch.record_clearing(lost=-found):
            raise OperationRefused(f"Clearing of {batch} stopped: it was uploaded, checked or rolled back meanwhile.")
        BatchRecord.objects.bulk_update(records, _RESTORED, batch_size=GROUP_SIZE)
