"""BatchRecord: one record of a batch, its object, and its outcome in each step."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from batches.choices import Action, IngestOutcome, MapOutcome, RetrySign, UploadOutcome
from batches.keys import MAX_KEY_LENGTH
from core.fields import BytewiseCharField, MessageField

MAX_IDENTIFIER_LENGTH = MAX_KEY_LENGTH * 3 // 4
"""Bytes that the decoded parts of a key can have at most, and so characters of an identifier."""
MAX_MESSAGE_LENGTH = 1000
NOT_UPLOADED_PREFIX = "Not uploaded: "
"""Begins the ingest message of a record that never was in the bucket, or no longer, when its result was written."""
EMPTY_FILE = "the file is empty"
"""Upload message of a record that is unuploadable for this reason: an empty file can't be ingested."""
MAX_FILE_SIZE = 100_000_000
"""Bytes of a record's file. They are read whole, several files at a time; records have some kilobytes."""


def too_large(size: int) -> str:
    """Upload message of a record whose file is larger."""
    return f"the file has {size:,} bytes, at most {MAX_FILE_SIZE:,} can be sent"


class BatchRecord(models.Model):
    """One record of a batch: its object, and its outcome in each step."""

    batch = models.ForeignKey(
        # The unique constraints below begin with the batch.
        "batches.Batch",
        models.CASCADE,
        related_name="records",
        db_index=False,
        help_text="Batch of the record.",
    )
    row = models.PositiveIntegerField(help_text="Row in the source, from 1.")
    key = BytewiseCharField(
        max_length=MAX_KEY_LENGTH, null=True, blank=True, help_text="Name of the object; empty: none."
    )
    key_digest = models.CharField(
        max_length=32, editable=False, help_text="Digest of the key, or of the row number if there is none."
    )
    identifier = BytewiseCharField(
        max_length=MAX_IDENTIFIER_LENGTH, null=True, blank=True, help_text="Identifier in the key."
    )
    identifier_norm = BytewiseCharField(
        max_length=MAX_IDENTIFIER_LENGTH,
        null=True,
        blank=True,
        editable=False,
        help_text="Comparison form of the identifier (`comparable`); empty: the identifier itself.",
    )
    action = models.CharField(max_length=6, choices=Action, null=True, blank=True, help_text="Action in the key.")
    path = models.CharField(
        max_length=MAX_IDENTIFIER_LENGTH, null=True, blank=True, help_text="Services path in the key."
    )
    file = models.CharField(
        max_length=1024, null=True, blank=True, help_text="File to send; relative to the batch folder."
    )
    size = models.BigIntegerField(
        null=True, blank=True, help_text="Size of the file in bytes when the batch was added."
    )
    map_outcome = models.CharField(
        max_length=7, choices=MapOutcome, null=True, blank=True, help_text="Outcome of the mapping (cmt_outcome)."
    )
    upload_outcome = models.CharField(
        max_length=12,
        choices=UploadOutcome,
        default=UploadOutcome.PENDING,
        help_text="Outcome of the upload (cmt_upload_status).",
    )
    upload_message = MessageField(
        max_length=MAX_MESSAGE_LENGTH, null=True, blank=True, help_text="Message of the upload (cmt_upload_message)."
    )
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the record was last marked for sending.")
    ingest_outcome = models.CharField(
        max_length=9,
        choices=IngestOutcome,
        null=True,
        blank=True,
        help_text="Outcome of the ingest (CMT_ingest_status); empty: no result yet.",
    )
    ingest_message = MessageField(
        max_length=MAX_MESSAGE_LENGTH, null=True, blank=True, help_text="Message of the ingest (CMT_ingest_message)."
    )
    ingest_detail = models.TextField(
        null=True, blank=True, help_text="Trace of the exception behind the message of the ingest, from the log."
    )
    ingest_candidate = MessageField(
        max_length=MAX_MESSAGE_LENGTH,
        null=True,
        blank=True,
        help_text="Message from the log that may belong to this record.",
    )
    healed_at = models.DateTimeField(
        null=True, blank=True, help_text="When the object was found to be gone after the record had failed."
    )
    tries = models.PositiveIntegerField(
        null=True, blank=True, help_text="How often the ingest tried the record, according to its log."
    )
    retry_sign = models.CharField(
        max_length=10,
        choices=RetrySign,
        null=True,
        blank=True,
        help_text="Why it looks as if the ingest tries the record again and again; empty: it does not.",
    )
    retry_seen_at = models.DateTimeField(
        null=True, blank=True, help_text="When a count last found the object of such a record; empty: it is gone."
    )
    source = models.TextField(default="[]", help_text="Row of the mapper report, as a JSON list of values.")

    class Meta:
        verbose_name = "record"
        constraints = [
            # Also serves the report and the upload: a batch's records in the order of the source.
            models.UniqueConstraint(fields=["batch", "row"], name="batches_record_row"),
            # Also serves the result: the record of a remaining object.
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
            # Duplicate identifiers in one or several batches, and the search by identifier.
            models.Index(fields=["identifier", "batch"], name="batches_record_identifier"),
            # The few records that are tried again and again: the concern, and what `batch clear --retried` deletes.
            models.Index(
                fields=["batch", "key_digest"],
                condition=Q(retry_sign__isnull=False),
                name="batches_record_retried",
            ),
            # The same, of the few identifiers that people see otherwise than their bytes are.
            models.Index(fields=["identifier_norm", "batch"], name="batches_record_identifier_norm"),
        ]

    def __str__(self) -> str:
        return self.identifier or f"row {self.row}"
