"""The scheduled check: which batches are due, and one count of one of them (docs/jobs.md). Nothing here sleeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from batches.choices import FINISHED, BatchStatus, CheckKind
from batches.ingest import healing
from batches.ingest.check import ensure_checkable
from batches.ingest.check_run import EARLY, CheckRun, ResultSuperseded, open_check
from batches.ingest.count import RemainingKeys
from batches.ingest.finalize import FinalizeResult, finalize
from batches.ingest.options import SCHEDULED, CheckOptions
from batches.models import Batch, IngestCheck
from batches.models.record import LONGEST_MESSAGE
from batches.store import store_url
from core.exceptions import OperationRefused
from core.logs import log_context
from objectstores import Store, open_store
from objectstores.base import StoreError


def count_once(batch: Batch, patience: CheckOptions = SCHEDULED, *, asked_by: str = "schedule") -> IngestCheck | None:
    """Counts once, if it is time to; returns the check with what is known now (`verdict`, `remaining`, `problem`).

    `patience.sleep` seconds must lie between two counts. The check goes on with the next tick until it has a verdict; the
    tick after that begins another. None: the batch has its result, or it is too early, or another tick came first.
    Raises OperationRefused for a batch that can't be checked, and StoreError when the count fails: that ends the check without a
    verdict, and the next tick begins another.
    """
    if batch.status == BatchStatus.INGESTED:
        return None
    ensure_checkable(batch)
    if not batch.claim_count(patience.sleep * EARLY):
        return None
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        run = _open_run(batch, store, patience, asked_by)
        try:
            run.step(store, remaining)
        except ResultSuperseded:
            pass
        except StoreError as error:
            run.give_up(str(error))
            raise
    return run.row


def _open_run(batch: Batch, store: Store, patience: CheckOptions, asked_by: str) -> CheckRun:
    row = open_check(batch, CheckKind.TICK)
    if row and (row.checks, row.rechecks, row.store) == (patience.checks, patience.rechecks, store.url):
        return CheckRun.resume(batch, row)
    if row:
        IngestCheck.objects.filter(pk=row.pk).update(problem="its settings were changed")
    run = CheckRun.begin(batch, store, patience, kind=CheckKind.TICK, asked_by=asked_by)
    run.row.started_at = timezone.now()
    return run


def check_or_heal(
    batch: Batch, patience: CheckOptions = SCHEDULED, *, asked_by: str = "schedule"
) -> FinalizeResult | None:
    """One count of a batch that is waiting for its result, or may heal, if it is time for one; with a result, what follows it.

    Returns what followed (its problems are for a log line; the result stands), None while there is no result. Raises
    OperationRefused and StoreError as `tick` and `heal` do: then the count is no count, and the next one begins anew.
    """
    # The job counts before it, and writes after it; without a bound, a log without end would be read until it is killed.
    within = settings.JOB_TIMEOUT / 2
    if batch.status != BatchStatus.INGESTED:
        row = count_once(batch, patience, asked_by=asked_by)
        return finalize(batch, within=within) if row and row.verdict in FINISHED else None
    found = healing.heal(batch, spacing=patience.sleep, asked_by=asked_by)
    # Also when nothing changed: whoever wrote the result may have died before it was concluded.
    return finalize(batch, again=bool(found.check.verdict), within=within) if found else None


HEAL_SPACING = 300.0
"""Seconds between two looks whether a batch heals."""

log = logging.getLogger("fnloader.batches")


def to_check() -> QuerySet[Batch]:
    """Uploaded batches whose next count is due; the one that was counted longest ago first."""
    waiting = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None, upload_owner=None)
    return _due_for_count(waiting.filter(upload_finished__isnull=False), SCHEDULED.sleep)


def to_heal() -> QuerySet[Batch]:
    """Batches that ended with errors and are still watched, whose next count is due."""
    return _due_for_count(healing.batches_to_heal().order_by(), HEAL_SPACING)


def check_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Counts the batch once whose turn it is; returns it, or None when none is left or it is time to stop."""
    return _count_next(to_check().exclude(pk__in=done), SCHEDULED, stop)


def heal_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Looks once whether a batch healed whose turn it is; returns it, or None when none is left or it is time to stop."""
    return _count_next(to_heal().exclude(pk__in=done), CheckOptions(HEAL_SPACING), stop)


def check_now(batch: Batch, asked_by: str) -> None:
    """One count of this batch, because a person asked: the scheduled check goes on from it.

    None where the last count is less than a minute old, for counts so near to each other prove nothing.
    """
    _count_and_record(batch, SCHEDULED, asked_by)


def _due_for_count(batches: QuerySet[Batch], spacing: float) -> QuerySet[Batch]:
    late = Q(counted_at=None) | Q(counted_at__lt=Now() - timedelta(seconds=spacing * EARLY))
    return batches.filter(late).order_by(F("counted_at").asc(nulls_first=True), "pk")


def _count_next(due: QuerySet[Batch], patience: CheckOptions, stop: Callable[[], bool]) -> Batch | None:
    batch = None if stop() else due.first()
    if batch:
        _count_and_record(batch, patience)
    return batch


def _count_and_record(batch: Batch, patience: CheckOptions, asked_by: str = "schedule") -> None:
    with log_context(batch=batch.bid):
        try:
            followed = check_or_heal(batch, patience, asked_by=asked_by)
        except (OperationRefused, StoreError) as error:
            _record_problem(batch, str(error))
        except IntegrityError:
            # A listing that takes longer than the spacing is overtaken by the next tick: the first to end counts.
            log.info("another count of the same check came first")
        else:
            _record_problem(batch, followed.report_problem if followed else "")


def _record_problem(batch: Batch, problem: str) -> None:
    """Why it can't be checked, or its report can't be written; an empty `problem` ends an earlier one."""
    row = Batch.objects.filter(pk=batch.pk)
    if not problem:
        row.filter(check_problem__isnull=False).update(check_problem=None, check_failing_since=None)
        return
    with transaction.atomic():
        row.filter(check_failing_since=None).update(check_failing_since=Now())
        row.update(check_problem=problem[:LONGEST_MESSAGE])
