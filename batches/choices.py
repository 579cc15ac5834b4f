"""The states of a batch and of its records: names, groups and colours, here and nowhere else."""

from __future__ import annotations

from django.db.models import TextChoices


class Action(TextChoices):
    """What the ingest does with a record."""

    CREATE = "CREATE", "create"
    UPDATE = "UPDATE", "update"
    DELETE = "DELETE", "delete"


class BatchStatus(TextChoices):
    """How far a batch has come (`batch_status` of the batches CSV)."""

    ADDED = "added", "added"
    MAPPED = "mapped", "mapped"
    UPLOADED = "uploaded", "uploaded"
    INGESTED = "ingested", "ingested"


class MapOutcome(TextChoices):
    """`cmt_outcome` of the mapper's report."""

    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"


class UploadOutcome(TextChoices):
    """What became of a record's object (`cmt_upload_status`, and the three that only a running upload knows)."""

    PENDING = "pending", "waiting to be sent"
    SENDING = "sending", "being sent"
    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    SKIP = "skip", "skip: its mapping failed"
    UNUPLOADABLE = "unuploadable", "unuploadable: no file or no key"
    UNCERTAIN = "uncertain", "uncertain: may have been ingested"
    CLEARED = "cleared", "cleared: its object was deleted from the bucket"


class IngestOutcome(TextChoices):
    """What became of a record in the ingest (`CMT_ingest_status`)."""

    SUCCESS = "success", "success"
    FAILURE = "failure", "failure"
    SKIP = "skip", "skip: it has no key"
    UNCERTAIN = "uncertain", "uncertain: nobody knows whether it was sent"


class StepKind(TextChoices):
    """What was done with a batch."""

    IMPORT = "import", "imported"
    UPLOAD = "upload", "uploaded"
    ROLLBACK_UPLOAD = "rollback_upload", "upload taken back"
    ROLLBACK_INGEST = "rollback_ingest", "result of ingest taken back"
    CLEAR = "clear", "objects deleted"
    ARCHIVE = "archive", "archived"
    UNARCHIVE = "unarchive", "taken out of the archive"


class Verdict(TextChoices):
    """What a check of the ingest found."""

    COMPLETE = "complete", "complete"
    COMPLETE_WITH_ERRORS = "complete_with_errors", "complete, with errors"
    IN_PROGRESS = "in_progress", "still in progress"


class CheckKind(TextChoices):
    """What a batch was counted for."""

    CHECK = "check", "a check"
    WATCH = "watch", "watched to its end"
    TICK = "tick", "a scheduled check"
    HEAL = "heal", "watched for healing"


UPLOADABLE = (BatchStatus.ADDED, BatchStatus.MAPPED, BatchStatus.UPLOADED)
"""A batch may be sent; a batch that is uploaded only where something of it is missing."""

TO_SEND = (UploadOutcome.PENDING, UploadOutcome.FAILURE, UploadOutcome.UNUPLOADABLE)
"""A run of the upload tries these: nothing of them is, or ever was, in the bucket."""

UNCLEAR = (UploadOutcome.SENDING, UploadOutcome.UNCERTAIN)
"""Their object may be in the bucket, may have been ingested, or never came there (promise 9)."""

NOT_UPLOADED = (
    UploadOutcome.FAILURE,
    UploadOutcome.UNUPLOADABLE,
    UploadOutcome.UNCERTAIN,
    UploadOutcome.CLEARED,
)
"""Errors of the upload, as `upload_errs` counts them; what the mapping refused is counted there."""

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


class BatchState(TextChoices):
    """Where a batch stands: its status, and what of it matters more."""

    ADDED = "added", "added"
    MAPPED = "mapped", "mapped"
    UPLOADING = "uploading", "uploading"
    CUT_OFF = "upload cut off", "upload cut off"
    IN_INGEST = "in ingest", "in ingest"
    COMPLETE = "ingested", "ingested"
    WITH_ERRORS = "ingested, with errors", "ingested, with errors"


STATE_COLOURS: dict[str, str] = {
    BatchState.ADDED: "grey",
    BatchState.MAPPED: "grey",
    BatchState.UPLOADING: "blue",
    BatchState.CUT_OFF: "red",
    BatchState.IN_INGEST: "blue",
    BatchState.COMPLETE: "green",
    BatchState.WITH_ERRORS: "orange",
}
