"""The scheduled check: one count of one batch, and which batches are due (docs/jobs.md). Nothing here sleeps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from batches.choices import FINISHED, BatchStatus, CheckKind
from batches.ingest import healing
from batches.ingest.check import EARLY, CheckRun, ResultSuperseded, ensure_checkable, open_check
from batches.ingest.count import RemainingKeys
from batches.ingest.finalize import FinalizeResult, finalize
from batches.ingest.rule import SCHEDULED, WATCHED, CheckOptions
from batches.models import Batch, IngestCheck
from batches.models.record import MAX_MESSAGE_LENGTH
from batches.querysets import UPLOAD_IS_OPEN
from batches.store import store_url
from core.due import older_than
from core.exceptions import OperationRefused
from core.logs import log_context
from objectstores import open_store
from objectstores.base import StoreError

HEALING_SPACING = 300.0
"""Seconds between two counts of a batch that may heal."""

log = logging.getLogger("fnloader.batches")


def scheduled_options() -> CheckOptions:
    """The options of the scheduled check: SCHEDULED, with INGEST_QUIET_MINUTES."""
    return replace(SCHEDULED, rechecks=max(1, round(settings.INGEST_QUIET_MINUTES * 60 / SCHEDULED.sleep) - 1))


def watched_options() -> CheckOptions:
    """`ingstat --watch`: needs as long without a change as the scheduled check, but counts more often."""
    return replace(WATCHED, rechecks=round(scheduled_options().quiet_seconds / WATCHED.sleep) - 1)


def count_once(
    batch: Batch,
    options: CheckOptions | None = None,
    *,
    asked_by: str = "schedule",
    kind: CheckKind = CheckKind.TICK,
) -> IngestCheck | None:
    """Counts once, if a count is due; returns the check with its state now (`verdict`, `remaining`, `problem`).

    `options.sleep` seconds must lie between two counts. The next call continues the check until it has a verdict; the call
    after that starts another one. None: the batch has its result, no count is due, or another count was claimed first.
    Raises OperationRefused for a batch that can't be checked, and StoreError when the count fails: that ends the check without a
    verdict, and the next call starts another one.
    """
    if batch.status == BatchStatus.INGESTED:
        return None
    ensure_checkable(batch)
    options = options or scheduled_options()
    if not batch.claim_count(options.sleep * EARLY):
        return None
    with RemainingKeys() as remaining, closing(open_store(store_url(batch))) as store:
        row = open_check(batch, kind)
        if row and (row.checks, row.rechecks, row.store) != (options.checks, options.rechecks, store.url):
            IngestCheck.objects.filter(pk=row.pk).update(problem="its settings were changed")
            row = None
        run = (
            CheckRun.resume(batch, row) if row else CheckRun.begin(batch, store, options, kind=kind, asked_by=asked_by)
        )
        try:
            with suppress(ResultSuperseded):
                run.count_once(store, remaining)
        except StoreError as error:
            run.abort(str(error))
            raise
    return run.row


def check_or_heal(
    batch: Batch, options: CheckOptions | None = None, *, asked_by: str = "schedule"
) -> FinalizeResult | None:
    """One count of a batch that waits for its result or may heal, if a count is due; with a result, also `finalize`.

    Returns the result of `finalize` (its problems don't affect the result of the batch), None while there is no result. Raises
    OperationRefused and StoreError as `count_once` and `heal` do.
    """
    # The job counts before it and writes after it; without a limit, an endless log would be read until the job is killed.
    max_seconds = settings.JOB_TIMEOUT / 2
    if batch.status != BatchStatus.INGESTED:
        row = count_once(batch, options, asked_by=asked_by)
        return finalize(batch, max_seconds=max_seconds) if row and row.verdict in FINISHED else None
    healed = healing.heal(batch, spacing=(options or SCHEDULED).sleep, asked_by=asked_by)
    # Also if nothing changed: the process that wrote the result may have died before `finalize`.
    return finalize(batch, read_again=bool(healed.check.verdict), max_seconds=max_seconds) if healed else None


def to_check() -> QuerySet[Batch]:
    """Uploaded batches whose next count is due; the one that was counted longest ago first."""
    uploaded = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None, upload_owner=None)
    return _due(uploaded.exclude(UPLOAD_IS_OPEN), SCHEDULED.sleep)


def to_heal() -> QuerySet[Batch]:
    """Batches that may heal, and whose next count is due."""
    return _due(healing.batches_to_heal().order_by(), HEALING_SPACING)


def check_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Counts the next batch that is due; returns it, or None if none is due or it is time to stop."""
    return _count_next(to_check().exclude(pk__in=done), scheduled_options(), stop)


def heal_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Counts the next batch that may heal; returns it, or None if none is due or it is time to stop."""
    return _count_next(to_heal().exclude(pk__in=done), CheckOptions(HEALING_SPACING), stop)


def check_now(batch: Batch, asked_by: str) -> None:
    """One count of this batch for a user; the scheduled check continues from it.

    Nothing is counted if the last count is less than a minute old: counts so close to each other prove nothing.
    """
    _count_and_record(batch, scheduled_options(), asked_by)


def _due(batches: QuerySet[Batch], spacing: float) -> QuerySet[Batch]:
    due = older_than("counted_at", timedelta(seconds=spacing * EARLY))
    return batches.filter(due).order_by(F("counted_at").asc(nulls_first=True), "pk")


def _count_next(due: QuerySet[Batch], options: CheckOptions, stop: Callable[[], bool]) -> Batch | None:
    batch = None if stop() else due.first()
    if batch:
        _count_and_record(batch, options)
    return batch


def _count_and_record(batch: Batch, options: CheckOptions, asked_by: str = "schedule") -> None:
    """Counts, and stores on the batch why it can't be checked or why its report can't be written."""
    problem = ""
    with log_context(batch=batch.bid):
        try:
            result = check_or_heal(batch, options, asked_by=asked_by)
            problem = result.report_problem if result else ""
        except (OperationRefused, StoreError) as error:
            problem = str(error)
        except IntegrityError:
            # A listing that takes longer than the spacing is overtaken by the next job: the first to end counts.
            log.info("another count of the same check was first")
            return
    row = Batch.objects.filter(pk=batch.pk)
    if not problem:
        row.filter(check_problem__isnull=False).update(check_problem=None, check_failing_since=None)
        return
    with transaction.atomic():
        row.filter(check_failing_since=None).update(check_failing_since=Now())
        row.update(check_problem=problem[:MAX_MESSAGE_LENGTH])
