"""BatchStep: what was done with a batch, by whom and with which outcome. A row a step, and a step that is taken back stays."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from batches.choices import StepKind

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
