"""Takes a result of ingest back, so that the batch can be checked again; what was counted stays (design.md, promise 3)."""

from __future__ import annotations

from django.db import transaction

from batches.errors import Refused
from batches.models import Batch, BatchRecord


def rollback_ingest(batch: Batch, *, dry_run: bool = False) -> int:
    """Clears the result of a batch's ingest and the ingest outcome of its records; returns how many records had one.

    Its checks and counts are history and stay. Raises Refused when there is no result to take back.
    """
    records = BatchRecord.objects.filter(batch=batch).exclude(ingest_outcome=None)
    with transaction.atomic():
        if not batch.rollback_ingest():
            raise Refused(f"{batch} has no result of ingest to take back (it is {batch.status}).")
        changed = records.update(ingest_outcome=None, ingest_message=None)
        transaction.set_rollback(dry_run)
    return changed
