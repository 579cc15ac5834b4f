"""BatchStep: what was done with a batch, by whom and with which outcome. A step that is undone stays in the history."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from batches.choices import StepKind
from core.fields import MessageField

MAX_NOTE_LENGTH = 1000


class BatchStep(models.Model):
    """One step of a batch. The row of an upload exists before its first object is sent; without an end it was cut off."""

    batch = models.ForeignKey(
        # The index below begins with the batch.
        "batches.Batch",
        models.CASCADE,
        related_name="steps",
        db_index=False,
        help_text="Batch of the step.",
    )
    kind = models.CharField(max_length=16, choices=StepKind, help_text="What was done.")
    began_at = models.DateTimeField(default=timezone.now, help_text="When the step started.")
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="When the step ended; empty: it runs or was cut off."
    )
    oks = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records uploaded, by this upload or the one that was undone."
    )
    errs = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records not uploaded, by this upload or the one that was undone."
    )
    touched = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records undone or imported, or objects deleted."
    )
    store_url = models.CharField(max_length=2048, null=True, blank=True, help_text="URL of the store.")
    note = MessageField(max_length=MAX_NOTE_LENGTH, null=True, blank=True, help_text="Details.")
    token = models.CharField(max_length=64, null=True, blank=True, editable=False, help_text="Lock token of an upload.")
    who = models.CharField(max_length=150, help_text="User who ran the step.")
    host = models.CharField(max_length=255, help_text="HOST_NAME where the step ran.")

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
        """Marks it as done."""
        self.ended_at, self.touched = timezone.now(), touched
        self.save(update_fields=["ended_at", "touched"])
