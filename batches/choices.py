"""The states of a batch and of its records: names, groups and colours."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import TextChoices


class Action(TextChoices):
    """What the ingest does with a record."""

    CREATE = "CREATE", "create"
    UPDATE = "UPDATE", "update"
    DELETE = "DELETE", "delete"


def action_counts(counts: Mapping[str, int]) -> str:
    """How many records have each action: `2 create, 1 update`."""
    return ", ".join(f"{counts[action]:,} {action.label}" for action in Action if counts.get(action))


class BatchStatus(TextChoices):
    """Last step of a batch that is done (`batch_status` of the batches CSV)."""

    ADDED = "added", "added"
    MAPPED = "mapped", "mapped"
    UPLOADED = "uploaded", "uploaded"
    INGESTED = "ingested", "ingested"


class MapOutcome(TextChoices):
    """`cmt_outcome` of the mapper report."""

    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"


class UploadOutcome(TextChoices):
    """Outcome of a record's upload (`cmt_upload_status`, and three more that only a running upload knows)."""

    PENDING = "pending", "pending"
    SENDING = "sending", "sending"
    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    SKIP = "skip", "skipped: mapping failed"
    UNUPLOADABLE = "unuploadable", "unuploadable: no file or key"
    UNCERTAIN = "uncertain", "uncertain: may have been ingested"
    CLEARED = "cleared", "cleared: object deleted"


class IngestOutcome(TextChoices):
    """Outcome of a record's ingest (`CMT_ingest_status`)."""

    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    SKIP = "skip", "skipped: no key"
    UNCERTAIN = "uncertain", "uncertain: may have been ingested"


class RetrySign(TextChoices):
    """Why it looks as if the ingest tries a record again and again."""

    PUT_AGAIN = "put_again", "its object was put again after the upload"
    REAPPEARED = "reappeared", "it was ingested, and its object is there again"
    TRIES = "tries", "it was tried far more often than others"


class RecordStatus(TextChoices):
    """What is known about one record of a list; the first are those that need somebody."""

    UNKNOWN = "unknown", "Unknown"
    FAILED = "failed", "Ingest failed"
    UNCERTAIN = "uncertain", "Uncertain"
    NOT_UPLOADED = "not_uploaded", "Not uploaded"
    TO_UPLOAD = "to_upload", "To be uploaded"
    IN_INGEST = "in_ingest", "In ingest"
    INGESTED = "ingested", "Ingested"


class StepKind(TextChoices):
    """What was done with a batch."""

    IMPORT = "import", "imported"
    QUEUE = "queue", "queued for upload"
    UNQUEUE = "unqueue", "removed from the upload queue"
    UPLOAD = "upload", "uploaded"
    ROLLBACK_UPLOAD = "rollback_upload", "upload undone"
    ROLLBACK_INGEST = "rollback_ingest", "ingest result undone"
    CLEAR = "clear", "objects deleted"
    ARCHIVE = "archive", "archived"
    UNARCHIVE = "unarchive", "unarchived"


class Verdict(TextChoices):
    """Result of a check."""

    COMPLETE = "complete", "complete"
    COMPLETE_WITH_ERRORS = "complete_with_errors", "complete, with errors"
    IN_PROGRESS = "in_progress", "still in progress"


class CheckKind(TextChoices):
    """What started a check."""

    CHECK = "check", "check"
    WATCH = "watch", "watch"
    TICK = "tick", "scheduled check"
    HEAL = "heal", "healing"
    QUEUE = "queue", "upload queue"


UPLOADABLE = (BatchStatus.ADDED, BatchStatus.MAPPED, BatchStatus.UPLOADED)
"""A batch may be uploaded; with status uploaded only if some records are missing."""

TO_SEND = (UploadOutcome.PENDING, UploadOutcome.FAILURE, UploadOutcome.UNUPLOADABLE)
"""An upload sends these: their objects are not, and never were, in the bucket."""

UNCLEAR = (UploadOutcome.SENDING, UploadOutcome.UNCERTAIN)
"""Their object may be in the bucket, may have been ingested, or was never sent (promise 9)."""

NOT_UPLOADED = (
    UploadOutcome.FAILURE,
    UploadOutcome.UNUPLOADABLE,
    UploadOutcome.UNCERTAIN,
    UploadOutcome.CLEARED,
)
"""Errors of the upload, as `upload_errs` counts them; mapping errors are counted there."""

FINISHED = (Verdict.COMPLETE, Verdict.COMPLETE_WITH_ERRORS)
"""Verdicts that end an ingest."""

COLOURS: dict[str, str] = {
    BatchStatus.ADDED: "grey",
    BatchStatus.MAPPED: "grey",
    BatchStatus.UPLOADED: "blue",
    BatchStatus.INGESTED: "green",
    UploadOutcome.PENDING: "grey",
    UploadOutcome.SENDING: "blue",
    UploadOutcome.SUCCESS: "green",
    UploadOutcome.FAILURE: "red",
    UploadOutcome.SKIP: "grey",
    UploadOutcome.UNUPLOADABLE: "red",
    UploadOutcome.UNCERTAIN: "orange",
    UploadOutcome.CLEARED: "grey",
    Verdict.COMPLETE: "green",
    Verdict.COMPLETE_WITH_ERRORS: "orange",
    Verdict.IN_PROGRESS: "blue",
}
"""By value, for pages and the admin; `success`, `failure` and `skip` mean the same everywhere."""


RECORD_STATUS_COLOURS: dict[str, str] = {
    RecordStatus.UNKNOWN: "red",
    RecordStatus.FAILED: "red",
    RecordStatus.UNCERTAIN: "orange",
    RecordStatus.NOT_UPLOADED: "orange",
    RecordStatus.TO_UPLOAD: "grey",
    RecordStatus.IN_INGEST: "blue",
    RecordStatus.INGESTED: "green",
}


class BatchState(TextChoices):
    """State of a batch as shown to users: its status, refined."""

    ADDED = "added", "added"
    MAPPED = "mapped", "mapped"
    UPLOADING = "uploading", "uploading"
    PAUSED = "upload paused", "upload paused"
    CUT_OFF = "upload cut off", "upload cut off"
    IN_INGEST = "in ingest", "in ingest"
    COMPLETE = "ingested", "ingested"
    WITH_ERRORS = "ingested, with errors", "ingested, with errors"


STATE_COLOURS: dict[str, str] = {
    BatchState.ADDED: "grey",
    BatchState.MAPPED: "grey",
    BatchState.UPLOADING: "blue",
    BatchState.PAUSED: "blue",
    BatchState.CUT_OFF: "red",
    BatchState.IN_INGEST: "blue",
    BatchState.COMPLETE: "green",
    BatchState.WITH_ERRORS: "orange",
}
