"""Healing: a batch that ended with errors is counted for a while longer, because the ingest tries failed events again.

A record whose object is gone becomes a success; never the reverse. The earlier result stays in the history: the check that
found it failed, and the record's `healed_at`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Value
from django.db.models.functions import Concat, Left
from django.utils import timezone

from batches.choices import FINISHED, BatchStatus, CheckKind, IngestOutcome, Verdict
from batches.ingest.check import EARLY, GROUP_SIZE, CheckRun, open_check
from batches.ingest.count import ObjectCount, RemainingKeys, count
from batches.ingest.retried import mark_present, put_again_after
from batches.ingest.rule import CheckOptions, Observation
from batches.keys import digest
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.record import MAX_MESSAGE_LENGTH
from batches.querysets import OBJECT_REMAINS
from batches.store import store_url
from core.exceptions import OperationRefused
from objectstores import open_store
from objectstores.base import StoreError

HEALED_PREFIX = "Failed at first: "
"""Before the message that a record had as a failure."""


@dataclass
class HealResult:
    """The result of one count of a batch that has its result."""

    batch: Batch
    check: IngestCheck
    """The check of the count; it has a verdict if this count changed the result."""
    healed: int = 0
    """Records that became a success."""
    reappeared: int = 0
    """Objects in the bucket whose records were ingested: they were put again, and change nothing here."""


def batches_to_heal() -> QuerySet[Batch]:
    """Batches that ended with errors within HEAL_HOURS, are not archived, and have failed records that were not cleared since."""
    since = timezone.now() - timedelta(hours=settings.HEAL_HOURS)
    failed = BatchRecord.objects.filter(OBJECT_REMAINS, batch=OuterRef("pk"))
    ended = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, ingest_errs__gt=0)
    return ended.filter(Exists(failed), ingest_done_at__gt=since).order_by("counted_at", "pk")


def healing_ends_at(batch: Batch) -> datetime | None:
    """When healing of a batch ends; None for one that can't heal."""
    if batch.status != BatchStatus.INGESTED or not batch.ingest_errs or not batch.ingest_done_at:
        return None
    return batch.ingest_done_at + timedelta(hours=settings.HEAL_HOURS)


def heal(batch: Batch, *, spacing: float = 0, asked_by: str = "schedule") -> HealResult | None:
    """Counts once the remaining objects of a batch that ended with errors, and writes what healed, whole or not at all.

    None: there are no errors, or the last count is less than `spacing` seconds old. Raises OperationRefused for a batch without a
    result, or if it was undone meanwhile, and StoreError when the count fails: then nothing is written.
    """
    if batch.status != BatchStatus.INGESTED:
        raise OperationRefused(f"{batch} has no result yet: run `manage.py ingstat {batch}` first.")
    if batch.archived_at:
        raise OperationRefused(f"{batch} is archived, so it is no longer checked for healing.")
    if batch.ingest_done_at is None or not _results(batch).exists():
        raise OperationRefused(
            f"The result of {batch} was imported, not counted here, so its remaining objects are not known. To count them:"
            f" manage.py batch rollback {batch} ingest, then manage.py ingstat {batch}"
        )
    if not batch.ingest_errs or not batch.claim_count(spacing * EARLY):
        return None
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        # One check lasts until it changes the result.
        run = CheckRun.begin(batch, store, CheckOptions(spacing), kind=CheckKind.HEAL, asked_by=asked_by)
        row = open_check(batch, CheckKind.HEAL)
        if row and row.store == store.url:
            run.row, run.times = row, list(row.counts.order_by("number").values_list("counted_at", flat=True))
        try:
            counted = count(store, batch, remaining, put_again_after=put_again_after(batch))
        except StoreError as error:
            run.abort(str(error))
            raise
        result = HealResult(batch, run.row)
        run.times.append(counted.counted_at)
        with transaction.atomic():
            checks = IngestCheck.objects.filter(batch=batch, finished_at__gte=batch.ingest_done_at)
            latest = checks.exclude(problem__gt="").order_by("-finished_at", "-pk").first()
            last = latest.counts.order_by("-number").first() if latest else None
            # If it is the same as the last count since the result was written, nothing has changed.
            if not last or counted.observation != Observation(last.remaining, last.digest):
                _apply_healing(result, counted, remaining)
                mark_present(batch, remaining, counted.counted_at)
            elif remaining.any_put_again:
                # The same names, but not the same objects.
                mark_present(batch, remaining, counted.counted_at)
            run.save_count(counted)
    return result


def _apply_healing(result: HealResult, counted: ObjectCount, remaining: RemainingKeys) -> None:
    """Compares the remaining objects with the records that failed, and writes what healed."""
    batch, row = result.batch, result.check
    if not batch.lock_result():
        raise OperationRefused(f"The result of {batch} was undone while it was being counted: nothing was written.")
    batch.refresh_from_db()
    unmatched = _update_records(result, counted, remaining)
    unmatched_before = _results(batch).values_list("unmatched", flat=True).first() or 0
    # Objects that `batch clear` deleted did not heal, with or without a record.
    cleared = batch.cleared_at is not None and (batch.ingest_done_at is None or batch.cleared_at > batch.ingest_done_at)
    unmatched = unmatched_before if cleared else min(unmatched, unmatched_before)
    fewer = min(result.healed + unmatched_before - unmatched, batch.ingest_errs or 0)
    if not fewer:
        return
    records = BatchRecord.objects.filter(batch=batch, healed_at=counted.counted_at).exclude(ingest_message=None)
    records.update(ingest_message=Left(Concat(Value(HEALED_PREFIX), F("ingest_message")), MAX_MESSAGE_LENGTH))
    batch.heal_ingest(fewer=fewer, seen=counted.counted_at)
    row.verdict = Verdict.COMPLETE_WITH_ERRORS if batch.ingest_errs else Verdict.COMPLETE
    row.unmatched, row.ingest_oks = unmatched, batch.ingest_oks
    row.ingest_complete_time, row.ingest_duration = batch.ingest_complete_time, batch.ingest_duration


def _update_records(result: HealResult, counted: ObjectCount, remaining: RemainingKeys) -> int:
    """Turns failures whose object is gone into successes; returns how many objects have no record."""
    records = BatchRecord.objects.filter(batch=result.batch)
    # All of them, and then back those whose object remains: flat memory holds no list of the objects that are gone.
    result.healed = records.filter(OBJECT_REMAINS).update(
        ingest_outcome=IngestOutcome.SUCCESS, healed_at=counted.counted_at
    )
    unmatched = 0
    for keys in remaining.groups(GROUP_SIZE):
        present = records.filter(key_digest__in=[digest(key) for key in keys])
        unmatched += len(keys) - present.count()
        result.healed -= present.filter(healed_at=counted.counted_at).update(
            ingest_outcome=IngestOutcome.FAILURE, healed_at=None
        )
        result.reappeared += present.filter(ingest_outcome=IngestOutcome.SUCCESS).count()
    return unmatched


def _results(batch: Batch) -> QuerySet[IngestCheck]:
    """The checks that wrote and changed its result, the latest first."""
    finished = IngestCheck.objects.filter(batch=batch, verdict__in=FINISHED, finished_at__gte=batch.ingest_done_at)
    return finished.order_by("-finished_at", "-pk")
