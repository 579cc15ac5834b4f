"""IngestCourse: what the counts after one upload say about its ingest, in numbers that stay small.

A batch that heals may have ten thousand counts; comparing batches reads only these rows. `batches.ingest.course` writes them.
"""

from __future__ import annotations

from django.db import models


class IngestCourse(models.Model):
    """The ingest of one upload of a batch, up to its last count."""

    batch = models.ForeignKey(
        # The unique constraint below begins with it.
        "batches.Batch",
        models.CASCADE,
        related_name="courses",
        db_index=False,
        help_text="Batch whose objects were counted.",
    )
    began_at = models.DateTimeField(help_text="When the upload ended; of an imported one, its first count.")
    last_count = models.BigIntegerField(help_text="Row number of the last count that is included.")
    counts = models.PositiveIntegerField(default=0, help_text="Counts that are included.")
    counted_at = models.DateTimeField(help_text="When it was counted last.")
    remaining = models.PositiveIntegerField(help_text="Objects in the last count.")
    digest = models.CharField(max_length=32, help_text="Digest of their names.")
    same_since = models.DateTimeField(help_text="First count of the last ones that are all the same.")
    changed_after = models.DateTimeField(help_text="Last count before that; without one, when it began.")
    progress_at = models.DateTimeField(null=True, blank=True, help_text="First count with fewer objects than before.")
    pauses = models.PositiveIntegerField(
        default=0, help_text="How often nothing changed for half a minute or longer, and then something did."
    )
    paused_seconds = models.FloatField(default=0, help_text="Seconds of all these pauses.")
    longest_pause = models.FloatField(
        default=0, help_text="Seconds of the longest time in which counts were the same, and then something changed."
    )
    longest_possible = models.FloatField(
        default=0, help_text="Seconds of the longest time in which nothing may have changed, for all that is known."
    )
    tries = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Tries of all records together, by the ingest log."
    )
    tried = models.PositiveIntegerField(null=True, blank=True, help_text="Records that the ingest log names.")

    class Meta:
        verbose_name = "course of an ingest"
        verbose_name_plural = "courses of ingests"
        constraints = [models.UniqueConstraint(fields=["batch", "began_at"], name="batches_course_once")]

    def __str__(self) -> str:
        return f"{self.batch}: {self.remaining} remaining after {self.counts} counts"
