"""`batch clear`: deletes what is left of one batch in its bucket, and of no other; a CSV keeps what it was.

Records are marked before their objects are deleted: whatever dies, no later check takes a deleted object for an ingested one.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
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
from core.processes import is_dead
from objectstores import Store, open_store

GROUP = 500
CLEARED = "its object was deleted from the bucket by `batch clear`"
REASON_IN_INGEST = (
    "its object was deleted from the bucket while the ingest was not known to be over: it may have been ingested"
)


@dataclass
class ClearResult:
    """What was deleted."""

    objects: int
    records: int
    """Those of them that belong to records of the batch."""
    path: Path | None
    """The CSV that names them; None: there was nothing to delete, and none was written."""


def ensure_clearable(batch: Batch, *, even_if_ingesting: bool = False) -> None:
    """Raises OperationRefused unless its objects can be deleted now."""
    if batch.archived_at:
        raise OperationRefused(
            f"{batch} is archived. To clear it, take it back first: manage.py batch archive {batch} --undo"
        )
    if batch.upload_is_open and batch.upload_owner and not is_dead(batch.upload_process or ""):
        raise OperationRefused(
            f"{batch} is being uploaded by process {batch.upload_pid} on {batch.upload_host}: clear it when that has ended."
        )
    if batch.upload_is_open and not even_if_ingesting:
        raise OperationRefused(
            f"The upload of {batch} is unfinished, so some of its objects may be in ingest. Finish it with"
            f" `manage.py batch upload {batch}`, or say --even-if-ingesting."
        )
    if batch.status == BatchStatus.UPLOADED and not even_if_ingesting:
        raise OperationRefused(
            f"The ingest of {batch} is not known to be over: an object that is deleted now may be ingested all the same."
            f" Run `manage.py ingstat {batch}` until it is complete, or say --even-if-ingesting."
        )


def clear(
    batch: Batch,
    *,
    who: str,
    even_if_ingesting: bool = False,
    tell: Callable[[int, int], None] = lambda _done, _total: None,
) -> ClearResult:
    """Deletes all that is left of the batch. A run that was cut off is simply run again.

    First the CSV is written, from one complete listing (REPORTS_DIR/<bid>/cleared_<time>.csv). Then, a group at a time,
    records are marked and their objects deleted: as *cleared* after a finished ingest, else as *uncertain*. `tell` gets how
    many are deleted, and of how many. Raises OperationRefused, StoreError, and OSError when the CSV can't be written.
    """
    ensure_clearable(batch, even_if_ingesting=even_if_ingesting)
    with closing(open_store(store_url(batch))) as store:
        path, number = _write_list(batch, store)
        if not number:
            path.unlink()
            return ClearResult(0, 0, None)
        step = start_step(batch, StepKind.CLEAR, who, note=f"{number} objects to delete: {path.name}")
        base, deleted, records = key_base(store.url), 0, 0
        for keys in _groups(path):
            records += _mark(batch, keys)
            deleted += store.delete(base + key for key in keys)
            tell(deleted, number)
    step.end(touched=deleted)
    return ClearResult(deleted, records, path)


def _write_list(batch: Batch, store: Store) -> tuple[Path, int]:
    """The CSV, whole and on the disk; how many objects it names."""
    folder = Path(settings.REPORTS_DIR) / batch.bid
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cleared_{timezone.now():%Y%m%dT%H%M%S%fZ}.csv"
    temporary = path.with_name(f".{path.name}")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            number = remaining.write_csv(file, remaining.remaining_objects(store, batch.bid))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path, number


def _groups(path: Path) -> Iterator[list[str]]:
    """The keys that the CSV names."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        while some := [row["key"] for row in islice(rows, GROUP)]:
            yield some


def _mark(batch: Batch, keys: list[str]) -> int:
    """Says of the records of these keys that their objects are deleted; returns how many there are."""
    own = BatchRecord.objects.filter(batch=batch, key_digest__in=[digest(key) for key in keys])
    quiet = batch.status == BatchStatus.INGESTED
    outcome, message = (UploadOutcome.CLEARED, CLEARED) if quiet else (UploadOutcome.UNCERTAIN, REASON_IN_INGEST)
    with transaction.atomic():
        lost = 0 if quiet else own.filter(upload_outcome=UploadOutcome.SUCCESS).count()
        if not batch.record_clearing(lost=lost):
            raise OperationRefused(
                f"{batch} was uploaded, checked or taken back meanwhile: it is not cleared any further."
            )
        sent = own.filter(upload_outcome__in=[UploadOutcome.SUCCESS, *UNCLEAR])
        sent.update(upload_outcome=outcome, upload_message=message)
    return own.count()
