"""BatchStep: what was done with a batch, by whom and with which outcome. A row a step, and a step that is taken back stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from batches.choices import StepKind

if TYPE_CHECKING:
    from batches.models import Batch

LONGEST_NOTE = 1000


class BatchStep(models.Model):
    """One step of a batch's life. An upload's row exists before its first object is sent; without an end it was cut off."""

    batch = models.ForeignKey(
        # The index below begins with the batch.
        "batches.Batch",
        models.CASCADE,
        related_name="steps",
        db_index=False,
        help_text="The batch that it was done with.",
    )
    kind = models.CharField(max_length=16, choices=StepKind, help_text="What was done.")
    began_at = models.DateTimeField(default=timezone.now, help_text="When it began.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When it ended; empty: it runs, or was cut off.")
    oks = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records uploaded, of an upload and of one that was taken back."
    )
    errs = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records not uploaded, of an upload and of one that was taken back."
    )
    touched = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records taken back or imported, objects deleted."
    )
    store_url = models.CharField(max_length=2048, null=True, blank=True, help_text="The store that it was done in.")
    note = models.CharField(max_length=LONGEST_NOTE, null=True, blank=True, help_text="What else is worth knowing.")
    token = models.CharField(
        max_length=64, null=True, blank=True, editable=False, help_text="Of an upload: the claim that it ran under."
    )
    who = models.CharField(max_length=150, help_text="Who did it.")
    host = models.CharField(max_length=255, help_text="HOST_NAME where it was done.")

    class Meta:
        verbose_name = "step"
        constraints = [models.CheckConstraint(condition=Q(kind__in=StepKind.values), name="batches_step_kind")]
        indexes = [
            # A batch's history in its order.
            models.Index(fields=["batch", "began_at"], name="batches_step_of_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.batch}: {StepKind(self.kind).label}"

    def end(self, *, touched: int) -> None:
        """It is done."""
        self.ended_at, self.touched = timezone.now(), touched
        self.save(update_fields=["ended_at", "touched"])


def begin(batch: Batch, kind: StepKind, who: str, *, note: str = "", token: str | None = None) -> BatchStep:
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


def record(batch: Batch, kind: StepKind, who: str, *, note: str = "", touched: int | None = None) -> BatchStep:
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
