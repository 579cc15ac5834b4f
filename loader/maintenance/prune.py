"""Deletes old detail, and never what is done: the ledger keeps every object, and its last words, for ever.

Detail is: attempts that ended with nothing (failed, or never sent) and whose object has moved on since, and looks at a
bucket in which nothing was due. Rows of older loaders stay.
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
from loader.models import BatchLoad, BucketObject, LoadAttempt

PAGE = 1000


@dataclass(frozen=True)
class PruneSummary:
    """How many rows went, or would go."""

    attempts: int
    looks: int

    def __str__(self) -> str:
        return f"{pluralize(self.attempts, 'load attempt')} and {pluralize(self.looks, 'look', 'looks')} at a bucket"


def prune(
    days: float, db: str = "default", *, dry_run: bool = False, stop: Callable[[], bool] = lambda: False
) -> PruneSummary:
    """Deletes detail that is older than so many days, a page a transaction; cut off, the next call goes on."""
    attempts, looks = _old(days, db)
    if dry_run:
        return PruneSummary(attempts.count(), looks.count())
    return PruneSummary(_delete(attempts, stop), _delete(looks, stop))


def _old(days: float, db: str) -> tuple[models.QuerySet[LoadAttempt], models.QuerySet[BatchLoad]]:
    before = Now() - timedelta(days=days)
    done = BucketObject.objects.filter(pk=OuterRef("bucket_object")).exclude(
        state__in=(ObjectState.WAITING, ObjectState.LOADING)
    )
    attempts = LoadAttempt.objects.using(db).filter(
        Exists(done), outcome__in=(AttemptOutcome.FAILED, AttemptOutcome.NOT_SENT), batch_start_time__lt=before
    )
    # The last look of all is what monitors ask for.
    last = BatchLoad.objects.using(db).aggregate(last=models.Max("bl_int_id"))["last"] or 0
    looks = BatchLoad.objects.using(db).filter(
        Q(batch_size=0), check_time__lt=before, feed__isnull=False, bl_int_id__lt=last, number_in_server=None
    )
    return attempts, looks


def _delete(rows: models.QuerySet[models.Model], stop: Callable[[], bool]) -> int:
    count = 0
    while not stop() and (keys := list(rows.order_by("pk").values_list("pk", flat=True)[:PAGE])):
        count += rows.model._default_manager.using(rows.db).filter(pk__in=keys).delete()[0]  # noqa: SLF001 - Django's way
    return count
