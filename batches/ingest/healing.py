"""Healing: a batch that ended with errors goes on being watched for a while, one count a tick, and no sleeping.

The ingest tries failed events again, so objects vanish late. A record whose object is gone becomes a success; never the
reverse. What it was before stays in the history: the check that found it failed, and the record's `healed_at`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat, Left
from django.utils import timezone

from batches.choices import FINISHED, BatchStatus, CheckKind, IngestOutcome, UploadOutcome, Verdict
from batches.ingest.check_run import EARLY, CheckRun, open_check
from batches.ingest.count import ObjectCount, RemainingKeys, count
from batches.ingest.options import CheckOptions
from batches.ingest.rule import Observation
from batches.keys import digest
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.record import LONGEST_MESSAGE
from batches.store import store_url
from core.exceptions import OperationRefused
from objectstores import Store, open_store
from objectstores.base import StoreError

GROUP = 500
FIRST_CHECK = "Failed at first: "
"""Before the message that a record had when it counted as a failure."""


@dataclass
class HealResult:
    """What one count saw of a batch that has its result."""

    batch: Batch
    check: IngestCheck
    """The watching that it belongs to; it has a verdict when this count changed the result."""
    healed: int = 0
    """Records that became a success."""
    again: int = 0
    """Objects in the bucket whose records had been ingested: they were put once more, and change nothing here."""


def batches_to_heal() -> QuerySet[Batch]:
    """The batches that are to be watched now: ended with errors within HEAL_HOURS, not archived, and not cleared since."""
    since = timezone.now() - timedelta(hours=settings.HEAL_HOURS)
    failed = _failed(BatchRecord.objects.filter(batch=OuterRef("pk")))
    ended = Batch.objects.filter(status=BatchStatus.INGESTED, archived_at=None, ingest_errs__gt=0)
    ended = ended.filter(Q(cleared_at=None) | Q(cleared_at__lt=F("ingest_done_at")))
    return ended.filter(Exists(failed), ingest_done_at__gt=since).order_by("counted_at", "pk")


def heal(batch: Batch, *, spacing: float = 0, asked_by: str = "schedule") -> HealResult | None:
    """Counts once what is left of a batch that ended with errors, and writes what healed, whole or not at all.

    None: it has no errors, or the last count is younger than `spacing` seconds. Raises OperationRefused for a batch without a
    result, or one whose result was taken back meanwhile, and StoreError when the count fails: then nothing is written.
    """
    _ensure_healable(batch)
    if not batch.ingest_errs or not batch.claim_count(spacing * EARLY):
        return None
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        run = _watched_check(batch, store, spacing, asked_by)
        try:
            seen = count(store, batch, remaining)
        except StoreError as error:
            run.give_up(str(error))
            raise
        return _write(run, seen, remaining)


def _ensure_healable(batch: Batch) -> None:
    if batch.status != BatchStatus.INGESTED:
        raise OperationRefused(f"{batch} has no result yet: run `manage.py ingstat {batch}` first.")
    if batch.archived_at:
        raise OperationRefused(f"{batch} is archived: it is not watched any more.")
    if not _results(batch).exists():
        raise OperationRefused(
            f"The result of {batch} was not counted here, so nobody can say which of its objects were left. To count"
            f" them: manage.py batch rollback {batch} ingest, then manage.py ingstat {batch}"
        )


def _watched_check(batch: Batch, store: Store, spacing: float, asked_by: str) -> CheckRun:
    """The watching that goes on, or a new one: one lasts until it changes the result."""
    run = CheckRun.begin(batch, store, CheckOptions(spacing), kind=CheckKind.HEAL, asked_by=asked_by)
    row = open_check(batch, CheckKind.HEAL)
    if row and row.store == store.url:
        run.row, run.times = row, list(row.counts.order_by("number").values_list("counted_at", flat=True))
    else:
        run.row.started_at = timezone.now()
    return run


def _write(run: CheckRun, seen: ObjectCount, remaining: RemainingKeys) -> HealResult:
    done = HealResult(run.batch, run.row)
    run.times.append(seen.counted_at)
    with transaction.atomic():
        if seen.seen != _last_seen(run.batch):
            _apply_healing(run, seen, remaining, done)
        run.keep(seen)
    return done


def _last_seen(batch: Batch) -> Observation | None:
    """What the last count saw, since the result was written: when it is the same, nothing has changed."""
    rows = IngestCheck.objects.filter(batch=batch, finished_at__gte=batch.ingest_done_at).exclude(problem__gt="")
    latest = rows.order_by("-finished_at", "-pk").first()
    last = latest.counts.order_by("-number").first() if latest else None
    return Observation(last.remaining, last.digest) if last else None


def _apply_healing(run: CheckRun, seen: ObjectCount, remaining: RemainingKeys, done: HealResult) -> None:
    """Compares what is left with the records that failed, and writes what is healed."""
    batch, row = run.batch, run.row
    if not batch.lock_result():
        raise OperationRefused(f"The result of {batch} was taken back while it was counted: nothing was written.")
    batch.refresh_from_db()
    unmatched = _compare(batch, seen, remaining, done)
    strays_before = _results(batch).values_list("unmatched", flat=True).first() or 0
    # Objects that `batch clear` deleted did not heal, nor did those among them that belong to no record.
    cleared = batch.cleared_at is not None and (batch.ingest_done_at is None or batch.cleared_at > batch.ingest_done_at)
    strays = strays_before if cleared else min(unmatched, strays_before)
    fewer = min(done.healed + strays_before - strays, batch.ingest_errs or 0)
    if not fewer:
        return
    records = BatchRecord.objects.filter(batch=batch, healed_at=seen.counted_at).exclude(ingest_message=None)
    records.update(ingest_message=Left(Concat(Value(FIRST_CHECK), F("ingest_message")), LONGEST_MESSAGE))
    batch.heal_ingest(fewer=fewer, seen=seen.counted_at)
    row.verdict = Verdict.COMPLETE_WITH_ERRORS if batch.ingest_errs else Verdict.COMPLETE
    row.unmatched, row.ingest_oks = strays, batch.ingest_oks
    row.ingest_complete_time, row.ingest_duration = batch.ingest_complete_time, batch.ingest_duration


def _compare(batch: Batch, seen: ObjectCount, remaining: RemainingKeys, done: HealResult) -> int:
    """Turns failures whose object is gone into successes; returns how many objects are none of its records."""
    records = BatchRecord.objects.filter(batch=batch)
    # All of them, and back those whose object is there: a list of what is not there can't be had in flat memory.
    done.healed = _failed(records).update(ingest_outcome=IngestOutcome.SUCCESS, healed_at=seen.counted_at)
    unmatched = 0
    for keys in remaining.groups(GROUP):
        left = records.filter(key_digest__in=[digest(key) for key in keys])
        unmatched += len(keys) - left.count()
        stay = left.filter(healed_at=seen.counted_at).update(ingest_outcome=IngestOutcome.FAILURE, healed_at=None)
        done.healed -= stay
        done.again += left.filter(ingest_outcome=IngestOutcome.SUCCESS).count()
    return unmatched


def _results(batch: Batch) -> QuerySet[IngestCheck]:
    """The checks that wrote and changed its result, the latest first."""
    since = batch.ingest_done_at
    ended = IngestCheck.objects.filter(batch=batch, verdict__in=FINISHED, finished_at__gte=since)
    return ended.order_by("-finished_at", "-pk")


def _failed(records: QuerySet[BatchRecord]) -> QuerySet[BatchRecord]:
    """Records whose object was left: those that can heal."""
    return records.filter(ingest_outcome=IngestOutcome.FAILURE, upload_outcome=UploadOutcome.SUCCESS)


def healing_ends_at(batch: Batch) -> datetime | None:
    """Until when a batch is watched; None for one that is not."""
    if batch.status != BatchStatus.INGESTED or not batch.ingest_errs or not batch.ingest_done_at:
        return None
    return batch.ingest_done_at + timedelta(hours=settings.HEAL_HOURS)
