"""Correction: one batch corrects failed records of another."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class Correction(models.Model):
    """A batch whose records are sent again, corrected, in another one; also across several: a correction of a correction."""

    parent = models.ForeignKey(
        # The unique constraint below begins with it.
        "batches.Batch",
        models.CASCADE,
        related_name="corrections",
        db_index=False,
        help_text="Batch whose failed records are corrected.",
    )
    child = models.ForeignKey(
        "batches.Batch", models.CASCADE, related_name="corrects", help_text="Batch that sends them again."
    )
    direct = models.BooleanField(
        default=True, help_text="Stated by a user; otherwise it follows from a correction of a correction."
    )

    class Meta:
        constraints = [
            # Also serves the state of a batch: the batches that correct it.
            models.UniqueConstraint(fields=["parent", "child"], name="batches_correction_once"),
            models.CheckConstraint(condition=~Q(parent=F("child")), name="batches_correction_of_other"),
        ]

    def __str__(self) -> str:
        return f"{self.child} corrects {self.parent}"
