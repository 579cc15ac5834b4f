"""The counters of `/metrics` as rows (updated by loader.maintenance.counters)."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """One counter for `/metrics`; it never goes down."""

    feed_key = models.BigIntegerField(help_text="Key of the feed; 0: a removed feed.")
    measure = models.CharField(max_length=10, help_text="outcome, insert or read.")
    bucket = models.CharField(max_length=10, help_text="Outcome, or number of the bucket of the histogram.")
    number = models.BigIntegerField(default=0, help_text="Number of attempts.")
    seconds = models.FloatField(default=0.0, help_text="Total time.")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["feed_key", "measure", "bucket"], name="loader_tally_once")]

    def __str__(self) -> str:
        return f"{self.measure} {self.bucket}: {self.number}"


class TallyMark(models.Model):
    """The position of the last update: one row."""

    counted = models.BigIntegerField(default=0, help_text="Last attempt that was counted.")
    seen = models.BigIntegerField(default=0, help_text="Last attempt at that time.")
    rolled_at = models.DateTimeField(null=True, blank=True, help_text="Time of the last update (database's clock).")

    def __str__(self) -> str:
        return f"counted up to {self.counted}"
