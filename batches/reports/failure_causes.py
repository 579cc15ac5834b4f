"""Why records failed: failures that say the same, but for names and numbers, are one cause with a number and an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Min, Q, QuerySet

from batches.choices import NOT_UPLOADED, IngestOutcome, UploadOutcome
from batches.models import Batch, BatchRecord

MOST = 1000
"""So many causes are told apart, more are one: messages that have nothing in common must not fill the memory."""
LONGEST = 200
OTHER = "… other messages"
UNKNOWN = "no message is known"

_PATTERNS = (
    # A URL names one record, and so does all in quotes; what is left of them says enough.
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"'[^']*'"), "'…'"),
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"\b[0-9a-fA-F]{12,}\b"), "<id>"),
    # A status of HTTP is the cause itself; what is longer, or has a point in it, is a number of something.
    (re.compile(r"\b\d+(?:[.:,-]\d+)+\b|\b\d{4,}\b"), "<n>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class FailureCause:
    """One reason for which records failed."""

    step: str
    """`upload` or `ingest`."""
    outcome: str
    """What the records have in common: `failure`, `skip`, `unuploadable`, `uncertain`."""
    message: str
    """Without names and numbers."""
    records: int
    candidate: bool
    """The log does not say whose the message is: it may be why."""
    row: int
    """The first record of it."""
    identifier: str | None
    """Of that record."""
    example: str | None
    """Its whole message."""


def failure_causes(batch: Batch) -> list[FailureCause]:
    """Why records of the batch were not uploaded or failed in the ingest, the most frequent cause first.

    A record is in one cause. Memory does not grow with the records.
    """
    found: dict[tuple[str, str, str, bool], _CauseCount] = {}
    for step, outcome, message, candidate, number, row in _groups(batch):
        key = (step, outcome, message_pattern(message), candidate)
        if key not in found and len(found) >= MOST:
            key = (step, outcome, OTHER, candidate)
        found.setdefault(key, _CauseCount()).add(number, row, message)
    rows = {one.row for one in found.values()}
    names = dict(BatchRecord.objects.filter(batch=batch, row__in=rows).values_list("row", "identifier"))
    made = [
        FailureCause(step, outcome, text, one.records, candidate, one.row, names.get(one.row), one.example)
        for (step, outcome, text, candidate), one in found.items()
    ]
    return sorted(made, key=lambda cause: (-cause.records, cause.step, cause.row))


def message_pattern(message: str | None) -> str:
    """A message without what differs from record to record: URLs, ids, what is in quotes, long numbers."""
    text = message or ""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text.strip()[:LONGEST] or UNKNOWN


@dataclass
class _CauseCount:
    records: int = 0
    row: int = 0
    example: str | None = None

    def add(self, records: int, row: int, message: str | None) -> None:
        self.records += records
        if not self.row or row < self.row:
            self.row, self.example = row, message


def _groups(batch: Batch) -> Iterator[tuple[str, str, str | None, bool, int, int]]:
    """Step, outcome, message, whether it is a candidate, number and first row of records with one message."""
    records = BatchRecord.objects.filter(batch=batch).order_by()
    never = records.filter(upload_outcome__in=[*NOT_UPLOADED, UploadOutcome.SKIP])
    for outcome, message, number, row in _counted(never, "upload_outcome", "upload_message"):
        yield "upload", outcome, message, False, number, row
    failed = records.filter(ingest_outcome=IngestOutcome.FAILURE, upload_outcome=UploadOutcome.SUCCESS)
    unsure = Q(ingest_message=None) & ~Q(ingest_candidate=None)
    for outcome, message, number, row in _counted(failed.exclude(unsure), "ingest_outcome", "ingest_message"):
        yield "ingest", outcome, message, False, number, row
    for outcome, message, number, row in _counted(failed.filter(unsure), "ingest_outcome", "ingest_candidate"):
        yield "ingest", outcome, message, True, number, row


def _counted(records: QuerySet[BatchRecord], outcome: str, message: str) -> Iterator[tuple[str, str | None, int, int]]:
    groups = records.values_list(outcome, message).annotate(number=Count("pk"), first=Min("row")).order_by("first")
    return iter(groups.iterator())
