"""Writes the history of a batch, a step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from batches.choices import StepKind

if TYPE_CHECKING:
    from batches.models.batch import Batch
from batches.models.step import LONGEST_NOTE, BatchStep


def start_step(batch: Batch, kind: StepKind, who: str, *, note: str = "", token: str | None = None) -> BatchStep:
    """Opens a step that takes a while; `end` closes it."""
    return BatchStep.objects.create(
        batch=batch,
        kind=kind,
        store_url=batch.store_url,
        note=note[:LONGEST_NOTE] or None,
        token=token,
        who=who,
        host=settings.HOST_NAME,
    )


def record_step(batch: Batch, kind: StepKind, who: str, *, note: str = "", touched: int | None = None) -> BatchStep:
    """Writes a step that is done, within the transaction that does it; with the outcome of the upload as it is before it."""
    now = timezone.now()
    return BatchStep.objects.create(
        batch=batch,
        kind=kind,
        began_at=now,
        ended_at=now,
        oks=batch.upload_oks,
        errs=batch.upload_errs,
        touched=touched,
        store_url=batch.store_url,
        note=note[:LONGEST_NOTE] or None,
        who=who,
        host=settings.HOST_NAME,
    )
