"""The history of a batch's ingest: every check and every count with its time."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from batches.choices import CheckKind, Verdict
from core.fields import MessageField


class IngestCheck(models.Model):
    """One check of a batch's ingest: its counts, its verdict, and who asked."""

    batch = models.ForeignKey(
        # The indexes below begin with the batch.
        "batches.Batch",
        models.CASCADE,
        related_name="checks",
        db_index=False,
        help_text="Batch that was checked.",
    )
    kind = models.CharField(
        max_length=5, choices=CheckKind, default=CheckKind.CHECK, help_text="What started the check."
    )
    started_at = models.DateTimeField(help_text="When the check started.")
    finished_at = models.DateTimeField(help_text="When its last count so far was complete.")
    store = models.CharField(max_length=2048, help_text="URL of the store.")
    sleep_seconds = models.FloatField(help_text="Seconds between two counts (--sleep).")
    checks = models.PositiveIntegerField(help_text="Counts that may find a change (--checks).")
    rechecks = models.PositiveIntegerField(help_text="Counts that must find no change (--rechecks).")
    verdict = models.CharField(
        max_length=20,
        choices=Verdict,
        null=True,
        blank=True,
        help_text="Verdict; empty: none yet, or ended without one.",
    )
    problem = MessageField(
        max_length=1000, null=True, blank=True, help_text="Why it ended without a verdict, where that is known."
    )
    remaining = models.PositiveIntegerField(help_text="Objects of the batch in the last count.")
    unmatched = models.PositiveIntegerField(
        null=True, blank=True, help_text="Remaining objects without a record; empty: not compared."
    )
    ingest_oks = models.PositiveIntegerField(
        null=True, blank=True, help_text="Records ingested, if the ingest is complete."
    )
    ingest_complete_time = models.DateTimeField(
        null=True, blank=True, help_text="When the ingest ended, if it is complete."
    )
    ingest_duration = models.DurationField(
        null=True, blank=True, help_text="Duration of the ingest, if it is complete."
    )
    asked_by = models.CharField(max_length=150, help_text="User who asked, or the schedule.")
    host = models.CharField(max_length=255, help_text="HOST_NAME where the check ran.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict__in=Verdict.values) | Q(verdict=None), name="batches_check_verdict"
            ),
        ]
        indexes = [
            # A batch's history, and its latest check.
            models.Index(fields=["batch", "finished_at"], name="batches_check_of_batch"),
            # The list of all checks, newest first.
            models.Index(fields=["finished_at"], name="batches_check_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.batch}: {self.verdict_label}, {self.remaining} remaining"

    @property
    def verdict_label(self) -> str:
        """Its verdict as shown to users."""
        return Verdict(self.verdict).label if self.verdict else "no verdict"


class IngestCount(models.Model):
    """One count of a check: a complete listing of the batch's remaining objects."""

    # The unique constraint below begins with the check.
    check_run = models.ForeignKey(
        IngestCheck, models.CASCADE, related_name="counts", db_index=False, help_text="Check this count belongs to."
    )
    number = models.PositiveIntegerField(help_text="Number of the count within the check, from 1.")
    counted_at = models.DateTimeField(help_text="When the listing was complete.")
    remaining = models.PositiveIntegerField(help_text="Objects of the batch that remain.")
    digest = models.CharField(max_length=32, help_text="Digest of their names, in byte order.")
    foreign = models.PositiveIntegerField(help_text="Objects of other batches with the same prefix; not counted.")
    invalid = models.PositiveIntegerField(help_text="Objects whose name is not a key; not counted.")

    class Meta:
        constraints = [
            # Also serves the curve: the counts of a check in their order.
            models.UniqueConstraint(fields=["check_run", "number"], name="batches_count_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="batches_count_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.remaining} remaining at {self.counted_at:%Y-%m-%d %H:%M:%S} UTC"
