"""The counters of `/metrics` as rows (loader.maintenance.counters rolls them forward)."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """One counter for `/metrics`, rolled forward by `loader.maintenance.counters`; it never goes down."""

    feed_key = models.BigIntegerField(help_text="Key of the feed; 0: of a feed that was removed.")
    measure = models.CharField(max_length=10, help_text="outcome, insert or read.")
    bucket = models.CharField(max_length=10, help_text="The outcome; of a time the number of its histogram's bucket.")
    number = models.BigIntegerField(default=0, help_text="How many attempts.")
    seconds = models.FloatField(default=0.0, help_text="How long they took together.")

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["feed_key", "measure", "bucket"], name="loader_tally_once")]

    def __str__(self) -> str:
        return f"{self.measure} {self.bucket}: {self.number}"


class TallyMark(models.Model):
    """How far the tallies have come: one row."""

    counted = models.BigIntegerField(default=0, help_text="The last attempt that was counted.")
    seen = models.BigIntegerField(default=0, help_text="The last attempt that was there then.")
    rolled_at = models.DateTimeField(null=True, blank=True, help_text="When that was (database's clock).")

    def __str__(self) -> str:
        return f"counted up to {self.counted}"
