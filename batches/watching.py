"""Which batches the background jobs look at, and one look at one of them (docs/jobs.md)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from batches import healing, ticking
from batches.attending import attend
from batches.choices import BatchStatus
from batches.models import LONGEST_MESSAGE, Batch
from batches.patience import SCHEDULED, Patience
from core.exceptions import OperationRefused
from core.logs import log_context
from objectstores.base import StoreError

HEAL_SPACING = 300.0
"""Seconds between two looks whether a batch heals."""

log = logging.getLogger("fnloader.batches")


def to_check() -> QuerySet[Batch]:
    """Uploaded batches whose next count is due; the one that was counted longest ago first."""
    waiting = Batch.objects.filter(status=BatchStatus.UPLOADED, archived_at=None, upload_owner=None)
    return _due(waiting.filter(upload_finished__isnull=False), SCHEDULED.sleep)


def to_heal() -> QuerySet[Batch]:
    """Batches that ended with errors and are still watched, whose next count is due."""
    return _due(healing.due().order_by(), HEAL_SPACING)


def check_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Counts the batch once whose turn it is; returns it, or None when none is left or it is time to stop."""
    return _next(to_check().exclude(pk__in=done), SCHEDULED, stop)


def heal_next(stop: Callable[[], bool], done: Collection[int] = ()) -> Batch | None:
    """Looks once whether a batch healed whose turn it is; returns it, or None when none is left or it is time to stop."""
    return _next(to_heal().exclude(pk__in=done), Patience(HEAL_SPACING), stop)


def check_now(batch: Batch, asked_by: str) -> None:
    """One count of this batch, because a person asked: the scheduled check goes on from it.

    None where the last count is less than a minute old, for counts so near to each other prove nothing.
    """
    _look(batch, SCHEDULED, asked_by)


def _due(batches: QuerySet[Batch], spacing: float) -> QuerySet[Batch]:
    late = Q(counted_at=None) | Q(counted_at__lt=Now() - timedelta(seconds=spacing * ticking.EARLY))
    return batches.filter(late).order_by(F("counted_at").asc(nulls_first=True), "pk")


def _next(due: QuerySet[Batch], patience: Patience, stop: Callable[[], bool]) -> Batch | None:
    batch = None if stop() else due.first()
    if batch:
        _look(batch, patience)
    return batch


def _look(batch: Batch, patience: Patience, asked_by: str = "schedule") -> None:
    with log_context(batch=batch.bid):
        try:
            followed = attend(batch, patience, asked_by=asked_by)
        except (OperationRefused, StoreError) as error:
            _note_problem(batch, str(error))
        except IntegrityError:
            # A listing that takes longer than the spacing is overtaken by the next tick: the first to end counts.
            log.info("another count of the same check came first")
        else:
            _note_problem(batch, followed.report_problem if followed else "")


def _note_problem(batch: Batch, problem: str) -> None:
    """Why it can't be checked, or its report can't be written; an empty `problem` ends an earlier one."""
    row = Batch.objects.filter(pk=batch.pk)
    if not problem:
        row.filter(check_problem__isnull=False).update(check_problem=None, check_failing_since=None)
        return
    with transaction.atomic():
        row.filter(check_failing_since=None).update(check_failing_since=Now())
        row.update(check_problem=problem[:LONGEST_MESSAGE])
