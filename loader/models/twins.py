"""TwinComparison and TwinFinding: two servers that should hold the same samples, and on which samples they differed."""

from __future__ import annotations

from django.db import models

from core.fields import BytewiseCharField, MessageField
from loader.choices import TwinKind
from loader.models.feeds import TEXT_LENGTH, Server
from loader.models.findings import MAX_NOTE_LENGTH


class TwinComparison(models.Model):
    """The last comparison of two servers."""

    first = models.ForeignKey(Server, models.CASCADE, related_name="+", help_text="The server that was read first.")
    second = models.ForeignKey(Server, models.CASCADE, related_name="+", help_text="The other server.")
    at = models.DateTimeField(help_text="When they were compared (database's clock).")
    summary = MessageField(max_length=TEXT_LENGTH, help_text="Result in a sentence.")
    in_first = models.PositiveIntegerField(help_text="Samples in the first server.")
    in_second = models.PositiveIntegerField(help_text="Samples in the second server.")
    only_first = models.PositiveIntegerField(default=0, help_text="Samples only in the first server.")
    only_second = models.PositiveIntegerField(default=0, help_text="Samples only in the second server.")
    queued = models.PositiveIntegerField(default=0, help_text="Samples in one server that wait for the other.")
    validity_differs = models.PositiveIntegerField(
        default=0, help_text="Samples with too many N in one server, and not in the other."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["first", "second"], name="loader_twins_once")]

    def __str__(self) -> str:
        return f"{self.first} and {self.second}"

    @property
    def differences(self) -> int:
        """Samples that differ, without those that only wait."""
        return self.only_first + self.only_second + self.validity_differs


class TwinFinding(models.Model):
    """One sample on which two servers differed in their last comparison."""

    comparison = models.ForeignKey(
        # The index below begins with the comparison.
        TwinComparison,
        models.CASCADE,
        related_name="findings",
        db_index=False,
        help_text="The comparison.",
    )
    kind = models.CharField(
        max_length=20, choices=TwinKind.choices, help_text="Kind of difference (docs/loader.md, Twins)."
    )
    guid = BytewiseCharField(max_length=255, help_text="Id of the sample.")
    note = MessageField(max_length=MAX_NOTE_LENGTH, blank=True, default="", help_text="Note.")

    class Meta:
        indexes = [
            # The findings of a comparison, also of one kind.
            models.Index(fields=["comparison", "kind", "id"], name="loader_twin_of_comparison"),
            # The list of differences: samples that begin with a text.
            models.Index(fields=["guid"], name="loader_twin_guid"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.guid}"
