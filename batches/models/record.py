"""BatchRecord: one record of a batch, its object, and what became of it in each step."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from batches.choices import Action, IngestOutcome, MapOutcome, UploadOutcome
from batches.keys import LONGEST_KEY
from core.fields import BytewiseCharField

LONGEST_IDENTIFIER = LONGEST_KEY * 3 // 4
"""Bytes that the decoded parts of a key can have at most, and so characters of an identifier."""
LONGEST_MESSAGE = 1000


class BatchRecord(models.Model):
    """One record of a batch: its object, and what became of it in each step."""

    batch = models.ForeignKey(
        # The unique constraints below begin with the batch.
        "batches.Batch",
        models.CASCADE,
        related_name="records",
        db_index=False,
        help_text="The batch it belongs to.",
    )
    row = models.PositiveIntegerField(help_text="Row of the source, from 1: its order.")
    key = BytewiseCharField(
        max_length=LONGEST_KEY, null=True, blank=True, help_text="Name of its object; empty: it has none."
    )
    key_digest = models.CharField(
        max_length=32, editable=False, help_text="Digest of the key, or of the row's number where there is none."
    )
    identifier = BytewiseCharField(
        max_length=LONGEST_IDENTIFIER, null=True, blank=True, help_text="Identifier, as the key says it."
    )
    action = models.CharField(
        max_length=6, choices=Action, null=True, blank=True, help_text="Action, as the key says it."
    )
    path = models.CharField(
        max_length=LONGEST_IDENTIFIER, null=True, blank=True, help_text="Services path, as the key says it."
    )
    file = models.CharField(
        max_length=1024, null=True, blank=True, help_text="The file that is sent; relative to the batch folder."
    )
    size = models.BigIntegerField(null=True, blank=True, help_text="Bytes of the file when it was last seen.")
    map_outcome = models.CharField(
        max_length=7, choices=MapOutcome, null=True, blank=True, help_text="What the mapper said (cmt_outcome)."
    )
    upload_outcome = models.CharField(
        max_length=12,
        choices=UploadOutcome,
        default=UploadOutcome.PENDING,
        help_text="What became of its object (cmt_upload_status).",
    )
    upload_message = models.CharField(
        max_length=LONGEST_MESSAGE, null=True, blank=True, help_text="Why (cmt_upload_message)."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When it was last marked as being sent.")
    ingest_outcome = models.CharField(
        max_length=9,
        choices=IngestOutcome,
        null=True,
        blank=True,
        help_text="What became of it in the ingest (CMT_ingest_status); empty: no result yet.",
    )
    ingest_message = models.CharField(
        max_length=LONGEST_MESSAGE, null=True, blank=True, help_text="Why (CMT_ingest_message)."
    )
    ingest_candidate = models.CharField(
        max_length=LONGEST_MESSAGE,
        null=True,
        blank=True,
        help_text="A message of the log that may be why; the log does not say whose it is.",
    )
    healed_at = models.DateTimeField(
        null=True, blank=True, help_text="When its object was found to be gone, after it had counted as a failure."
    )
    tries = models.PositiveIntegerField(
        null=True, blank=True, help_text="How often the ingest tried it, where its log says so."
    )
    source = models.TextField(default="[]", help_text="The row of the mapper's report, as a JSON list of its values.")

    class Meta:
        verbose_name = "record"
        constraints = [
            # Also serves the report and the upload: a batch's records in the order of the source.
            models.UniqueConstraint(fields=["batch", "row"], name="batches_record_row"),
            # Also serves the result: the record of an object that is left.
            models.UniqueConstraint(fields=["batch", "key_digest"], name="batches_record_key"),
            models.CheckConstraint(condition=Q(row__gte=1), name="batches_record_row_from_1"),
            models.CheckConstraint(
                condition=Q(upload_outcome__in=UploadOutcome.values), name="batches_record_upload_outcome"
            ),
            models.CheckConstraint(
                condition=Q(key__isnull=False) | ~Q(upload_outcome__in=["pending", "sending", "uncertain"]),
                name="batches_record_sent_has_key",
            ),
        ]
        indexes = [
            # `batch show` and the end of an upload: counts by outcome, and the uncertain ones in order.
            models.Index(fields=["batch", "upload_outcome", "row"], name="batches_record_by_upload"),
            # A batch's page: the records that failed, in order.
            models.Index(fields=["batch", "ingest_outcome", "row"], name="batches_record_by_ingest"),
            # An identifier that stands more than once in a batch or in several batches, and the search by it.
            models.Index(fields=["identifier", "batch"], name="batches_record_identifier"),
        ]

    def __str__(self) -> str:
        return self.identifier or f"row {self.row}"
