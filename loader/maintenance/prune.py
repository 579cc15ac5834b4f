"""Deletes old detail. The ledger keeps every object with its result.

Detail is: attempts that failed or were never sent, whose object has been loaded, rejected or deleted since, scans in which
nothing was due, and what servers said about themselves more than READING_DAYS ago. Rows of older loaders stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from core.formatting import pluralize
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BatchLoad, BucketObject, LoadAttempt, ServerReading

PAGE_SIZE = 1000
READING_DAYS = 90


@dataclass(frozen=True)
class PruneSummary:
    """Numbers of rows that were, or would be, deleted."""

    attempts: int
    scans: int
    readings: int = 0

    def __str__(self) -> str:
        return (
            f"{pluralize(self.attempts, 'load attempt')}, {pluralize(self.scans, 'batch load')} "
            f"and {pluralize(self.readings, 'server reading')}"
        )


def prune(
    days: float, db: str = "default", *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False
) -> PruneSummary:
    """Deletes detail that is older than `days`, a page in each transaction; after an interruption, call it again."""
    before = Now() - timedelta(days=days)
    done = BucketObject.objects.filter(pk=OuterRef("bucket_object")).exclude(
        state__in=(ObjectState.WAITING, ObjectState.LOADING)
    )
    attempts = LoadAttempt.objects.using(db).filter(
        Exists(done), outcome__in=(AttemptOutcome.FAILED, AttemptOutcome.NOT_SENT), batch_start_time__lt=before
    )
    # Monitors ask for the last scan of all.
    last = BatchLoad.objects.using(db).aggregate(last=models.Max("bl_int_id"))["last"] or 0
    scans = BatchLoad.objects.using(db).filter(
        Q(batch_size=0), check_time__lt=before, feed__isnull=False, bl_int_id__lt=last, number_in_server=None
    )
    readings = ServerReading.objects.using(db).filter(at__lt=Now() - timedelta(days=READING_DAYS))
    if dry_run:
        return PruneSummary(attempts.count(), scans.count(), readings.count())
    return PruneSummary(_delete(attempts, stop), _delete(scans, stop), _delete(readings, stop))


def _delete(rows: models.QuerySet[models.Model], stop: Callable[[], bool]) -> int:
    count = 0
    while not stop() and (keys := list(rows.order_by("pk").values_list("pk", flat=True)[:PAGE_SIZE])):
        count += rows.model._default_manager.using(rows.db).filter(pk__in=keys).delete()[0]  # noqa: SLF001 - documented by Django
    return count
