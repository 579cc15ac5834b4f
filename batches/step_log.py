"""Writes the history of a batch, one step at a time."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone

from batches.choices import StepKind
from batches.models import Batch
from batches.models.step import MAX_NOTE_LENGTH, BatchStep


def start_step(batch: Batch, kind: StepKind, who: str, *, note: str = "", token: str | None = None) -> BatchStep:
    """Starts a step that takes a while; `end` closes it."""
    return BatchStep.objects.create(
        batch=batch,
        kind=kind,
        store_url=batch.store_url,
        note=note[:MAX_NOTE_LENGTH] or None,
        token=token,
        who=who,
        host=settings.HOST_NAME,
    )


def record_step(batch: Batch, kind: StepKind, who: str, *, note: str = "", touched: int | None = None) -> BatchStep:
    """Writes a step that is done, in the transaction that does it, with the outcome of the upload before it."""
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
        note=note[:MAX_NOTE_LENGTH] or None,
        who=who,
        host=settings.HOST_NAME,
    )
