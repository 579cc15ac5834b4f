"""Why records failed: failures with the same message, except for names and numbers, are one cause with an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Min, Q

from batches.choices import NOT_UPLOADED, UploadOutcome
from batches.models import Batch, BatchRecord
from batches.querysets import OBJECT_REMAINS

MAX_CAUSES = 1000
"""All others become one cause, so that messages with nothing in common don't fill the memory."""
MAX_PATTERN_LENGTH = 200
OTHER_MESSAGES = "… other messages"
NO_MESSAGE = "no message"

_ID = r"(?=[\w+/=.-]*\d)[\w+/=.-]+"
_PATTERNS = (
    # A store names the object before its error, and may add the ids of the request.
    (re.compile(r"^(\w+://.*?), \S+: "), r"\1: "),
    (
        re.compile(rf"(?<![\s,;(])[\s,;(]*\b(?:\w+-)?(?:request|host)[\s_-]?id\b[\s:=\"']*{_ID}[\"')]*", re.IGNORECASE),
        "",
    ),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\b"), "<time>"),
    # A URL and text in quotes name one record.
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"'[^']*'"), "'…'"),
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"\b[0-9a-fA-F]{12,}\b"), "<id>"),
    # A key, or an id of a store: long, with digits among its letters.
    (re.compile(r"(?<![\w=-])(?<!//)(?=[\w=-]*\d)(?=[\w=-]*[A-Za-z])[\w=-]{16,}"), "<id>"),
    # An HTTP status is the cause itself; longer numbers, or numbers with a point, are not.
    (re.compile(r"\b\d+(?:[.:,-]\d+)+\b|\b\d{4,}\b"), "<n>"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class FailureCause:
    """One reason why records failed."""

    step: str
    """`upload` or `ingest`."""
    outcome: str
    """Outcome of the records: `failure`, `skip`, `unuploadable`, `uncertain`."""
    message: str
    """Without names and numbers."""
    records: int
    candidate: bool
    """The message may belong to other records."""
    row: int
    """Row of the first record."""
    identifier: str | None
    """Identifier of that record."""
    example: str | None
    """Its full message."""


def failure_causes(batch: Batch) -> list[FailureCause]:
    """Why records of the batch were not uploaded or failed in the ingest, the most frequent cause first.

    Each record has one cause. Memory does not grow with the records.
    """
    counts: dict[tuple[str, str, str, bool], _CauseCount] = {}
    for step, outcome, message, candidate, number, row in _groups(batch):
        key = (step, outcome, message_pattern(message) if message else unknown_cause(batch, step), candidate)
        if key not in counts and len(counts) >= MAX_CAUSES:
            key = (step, outcome, OTHER_MESSAGES, candidate)
        counts.setdefault(key, _CauseCount()).add(number, row, message)
    rows = {cause.row for cause in counts.values()}
    identifiers = dict(BatchRecord.objects.filter(batch=batch, row__in=rows).values_list("row", "identifier"))
    causes = [
        FailureCause(*key[:3], count.records, key[3], count.row, identifiers.get(count.row), count.example)
        for key, count in counts.items()
    ]
    return sorted(causes, key=lambda cause: (-cause.records, cause.step, cause.row))


def message_pattern(message: str | None) -> str:
    """A message without the parts that differ from record to record: URLs, ids, text in quotes, long numbers."""
    text = message or ""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text.strip()[:MAX_PATTERN_LENGTH] or NO_MESSAGE


def unknown_cause(batch: Batch, step: str) -> str:
    """The cause of a record without a message."""
    return f"unknown: the ingest log {batch.log_outcome}" if step == "ingest" and batch.log_outcome else NO_MESSAGE


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
    """Step, outcome, message, whether it is a candidate, number and first row, for each message of records."""
    records = BatchRecord.objects.filter(batch=batch).order_by()
    not_uploaded = records.filter(upload_outcome__in=[*NOT_UPLOADED, UploadOutcome.SKIP])
    failed = records.filter(OBJECT_REMAINS)
    only_candidate = Q(ingest_message=None) & ~Q(ingest_candidate=None)
    for step, chosen, column, is_candidate in (
        ("upload", not_uploaded, "upload_message", False),
        ("ingest", failed.exclude(only_candidate), "ingest_message", False),
        ("ingest", failed.filter(only_candidate), "ingest_candidate", True),
    ):
        groups = chosen.values_list(f"{step}_outcome", column).annotate(number=Count("pk"), first=Min("row"))
        for outcome, message, number, row in groups.order_by("first").iterator():
            yield step, outcome, message, is_candidate, number, row
