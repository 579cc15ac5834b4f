"""Finding: one sample on which bucket, ledger and server did not agree when a feed was last compared."""

from __future__ import annotations

from django.db import models

from core.fields import BytewiseCharField
from loader.choices import FINDING_KINDS

MOST = 10_000
"""So many findings of a feed are kept; all are counted, and `feed reconcile` lists them all."""
LONGEST = 1000


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
        help_text="What the difference is (docs/loader.md, Reconcile).",
    )
    guid = BytewiseCharField(max_length=255, help_text="Id of the sample.")
    name = BytewiseCharField(max_length=1024, blank=True, default="", help_text="The file, where one is known.")
    note = models.CharField(max_length=LONGEST, blank=True, default="", help_text="More about it.")

    class Meta:
        indexes = [
            # The findings of a feed, also of one kind.
            models.Index(fields=["feed", "kind", "id"], name="loader_finding_of_feed"),
            # The list of differences: samples that begin with a text.
            models.Index(fields=["guid"], name="loader_finding_guid"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.guid}"
