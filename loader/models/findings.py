"""Finding: one sample on which bucket, ledger and server differed in the last comparison of a feed."""

from __future__ import annotations

from django.db import models

from core.fields import BytewiseCharField, MessageField
from loader.choices import FINDING_KINDS

MAX_FINDINGS = 10_000
"""The most findings that are stored for a feed; all are counted, and `feed reconcile` lists all."""
MAX_NOTE_LENGTH = 1000


class Finding(models.Model):
    """One difference that the last comparison of a feed found."""

    feed = models.ForeignKey(
        # The index below begins with the feed.
        "loader.Feed",
        models.CASCADE,
        related_name="findings",
        db_index=False,
        help_text="The feed that was compared.",
    )
    kind = models.CharField(
        max_length=20,
        choices=FINDING_KINDS,
        help_text="Kind of difference (docs/loader.md, Reconcile).",
    )
    guid = BytewiseCharField(max_length=255, help_text="Id of the sample.")
    name = BytewiseCharField(max_length=1024, blank=True, default="", help_text="The file, if known.")
    note = MessageField(max_length=MAX_NOTE_LENGTH, blank=True, default="", help_text="Note.")

    class Meta:
        indexes = [
            # The findings of a feed, also of one kind.
            models.Index(fields=["feed", "kind", "id"], name="loader_finding_of_feed"),
            # The list of differences: samples that begin with a text.
            models.Index(fields=["guid"], name="loader_finding_guid"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.guid}"
