"""The sheet that adds up: what became of each record of a batch, or of any set of batches, compared with the stored numbers.

    records  = not mapped + not uploaded + to upload + uploaded
    uploaded = in ingest + ingested + failed + cleared + uncertain

Both hold by definition, as each record is counted once. What is compared, line by line, are these numbers and the columns of the
batch, which uploads, checks, healing, clears, rollbacks and imports write (domain.md 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet

from batches.choices import FINISHED, NOT_UPLOADED, UNCLEAR, BatchStatus, IngestOutcome, UploadOutcome
from batches.corrections.status import batches_with_open
from batches.models import Batch, BatchRecord, IngestCheck
from batches.models.record import NOT_UPLOADED_PREFIX
from batches.reports.rates import ingest_rate
from core.formatting import format_duration
from core.lists.csv_expressions import safe_text
from core.temporary import in_pages

PAGE_SIZE = 200


@dataclass(frozen=True)
class RecordCounts:
    """How many records there are of each kind; every record is of one."""

    not_mapped: int = 0
    not_uploaded: int = 0
    """Their upload failed, or could not begin."""
    to_upload: int = 0
    in_ingest: int = 0
    """Uploaded, without a result; or with one that says nothing of them (an import)."""
    ingested: int = 0
    failed: int = 0
    """Their objects remained."""
    cleared: int = 0
    """Their objects were deleted by `batch clear`."""
    uncertain: int = 0
    """They may have been ingested, or never sent."""
    corrected: int = 0
    """Not mapped, not uploaded, failed or cleared, and since corrected in a later batch."""
    open: int = 0
    """Not corrected; also failures that no record is known for."""
    retried: int = 0
    """Tried again and again, whatever became of them."""

    @property
    def uploaded(self) -> int:
        """All whose object is, was, or may have been in the bucket."""
        return self.in_ingest + self.ingested + self.failed + self.cleared + self.uncertain

    @property
    def records(self) -> int:
        """All."""
        return self.not_mapped + self.not_uploaded + self.to_upload + self.uploaded

    def __add__(self, other: RecordCounts) -> RecordCounts:
        return RecordCounts(
            **{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(RecordCounts)}
        )

    def facts(self) -> dict[str, int]:
        """All numbers, sums included, in the order of the steps."""
        values = asdict(self) | {"records": self.records, "uploaded": self.uploaded}
        return {name: values[name] for name in COUNT_NAMES}


COUNT_NAMES = (
    "records",
    "not_mapped",
    "not_uploaded",
    "to_upload",
    "uploaded",
    "in_ingest",
    "ingested",
    "failed",
    "cleared",
    "uncertain",
    "corrected",
    "open",
    "retried",
)


@dataclass(frozen=True)
class Difference:
    """A stored number of a batch that is not what its records say."""

    line: str
    stored: int
    counted: int
    reason: str
    """Empty: none is known."""

    def __str__(self) -> str:
        return f"{self.line}: {self.stored:,} stored, {self.counted:,} counted. {self.reason or 'No reason is known.'}"


@dataclass(frozen=True)
class BatchSheet:
    """One batch in numbers."""

    batch: Batch
    counts: RecordCounts
    differences: list[Difference] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """For JSON and CSV."""
        batch = self.batch
        uploading = (
            batch.upload_finished - batch.upload_started if batch.upload_started and batch.upload_finished else None
        )
        return {
            "id": batch.bid,
            "rectype": batch.rectype,
            "action": batch.action,
            "status": batch.status,
            "added_at": batch.added_at,
            **self.counts.facts(),
            "upload_started": batch.upload_started,
            "upload_duration": uploading,
            "ingest_start_time": batch.ingest_start_time,
            "ingest_complete_time": batch.ingest_complete_time,
            "ingest_duration": batch.ingest_duration,
            "records_per_minute": round(rate, 1) if (rate := ingest_rate(batch)) else None,
            "differences": [asdict(difference) for difference in self.differences],
        }


def batch_sheets(batches: QuerySet[Batch]) -> Iterator[BatchSheet]:
    """A sheet for each batch, in the order of the queryset; some batches in memory at a time."""
    for page in in_pages(batches_with_open(batches).iterator(PAGE_SIZE), PAGE_SIZE):
        counts, before = _counts(page)
        unmatched = _unmatched(page)
        for batch in page:
            kinds = counts[batch.pk]
            failed = sum(kinds[name] for name in ("not_mapped", "not_uploaded", "failed", "cleared"))
            corrected = failed - (batch.open_records - batch.unknown_failures)
            numbers = RecordCounts(**kinds, corrected=corrected, open=batch.open_records)
            differences = list(_differences(batch, numbers, before[batch.pk], unmatched.get(batch.pk, 0)))
            yield BatchSheet(batch, numbers, differences)


def sheet_rows(sheets: Iterable[BatchSheet]) -> Iterator[list[object]]:
    """A header and a row for each batch, safe for spreadsheets: times in UTC, durations as `HH:MM:SS`."""
    yield [*BatchSheet(Batch(), RecordCounts()).facts()]
    for sheet in sheets:
        facts = sheet.facts() | {"differences": " ".join(map(str, sheet.differences))}
        yield [_cell(value) for value in facts.values()]


def _cell(value: object) -> object:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    return safe_text(value) if isinstance(value, str) else value


def total(sheets: Iterable[BatchSheet]) -> RecordCounts:
    """All of them together."""
    return sum((sheet.counts for sheet in sheets), RecordCounts())


def _counts(batches: list[Any]) -> tuple[dict[int, Counter[str]], Counter[int]]:
    """By batch how many records are of which kind, and how many of the cleared ones were cleared before the result."""
    counts: dict[int, Counter[str]] = {batch.pk: Counter() for batch in batches}
    records = BatchRecord.objects.filter(batch__in=list(counts)).order_by()
    groups = records.values_list("batch_id", "upload_outcome", "ingest_outcome").annotate(number=Count("pk"))
    for batch, upload, ingest, number in groups:
        counts[batch][_kind(upload, ingest)] += number
    retried = records.filter(retry_sign__isnull=False).values_list("batch_id").annotate(number=Count("pk"))
    for batch, number in retried:
        counts[batch]["retried"] = number
    cleared = records.filter(
        upload_outcome=UploadOutcome.CLEARED,
        ingest_outcome=IngestOutcome.FAILURE,
        ingest_message__startswith=NOT_UPLOADED_PREFIX,
    )
    return counts, Counter(dict(cleared.values_list("batch_id").annotate(number=Count("pk"))))


def _kind(upload: str, ingest: str | None) -> str:
    """The field of RecordCounts for a record with these outcomes."""
    if upload == UploadOutcome.SKIP:
        return "not_mapped"
    if upload == UploadOutcome.PENDING:
        return "to_upload"
    if upload == UploadOutcome.CLEARED:
        return "cleared"
    if upload in UNCLEAR:
        return "uncertain"
    if upload in NOT_UPLOADED:
        return "not_uploaded"
    outcomes = {
        IngestOutcome.SUCCESS: "ingested",
        IngestOutcome.FAILURE: "failed",
        IngestOutcome.UNCERTAIN: "uncertain",
    }
    return outcomes.get(IngestOutcome(ingest), "in_ingest") if ingest else "in_ingest"


def _unmatched(batches: list[Any]) -> dict[int, int]:
    """By batch how many remaining objects of its result had no record."""
    ended = IngestCheck.objects.filter(batch__in=[batch.pk for batch in batches], verdict__in=FINISHED)
    rows = ended.exclude(unmatched=None).order_by("finished_at", "pk").values_list("batch_id", "unmatched")
    return {batch: number or 0 for batch, number in rows}


def _differences(batch: Batch, counts: RecordCounts, cleared_before: int, unmatched: int) -> Iterator[Difference]:
    imported = "It was imported with this number." if batch.import_digest else ""
    if not counts.records:
        imported = "No records of it were imported." if batch.import_digest else imported
    lines: list[tuple[str, int | None, int, str]] = [
        ("records", batch.record_count, counts.records, imported),
        ("not mapped", batch.map_errs, counts.not_mapped, imported),
    ]
    if batch.was_uploaded and not batch.upload_is_open and batch.upload_oks is not None and not counts.to_upload:
        sent = batch.upload_oks + (batch.upload_errs or 0)
        lines.append(("uploaded and not uploaded", sent, counts.uploaded + counts.not_uploaded, imported))
    if batch.status == BatchStatus.INGESTED:
        failed = counts.failed + counts.cleared - cleared_before
        reason = imported
        if unmatched and batch.ingest_errs == failed + unmatched:
            reason = f"{unmatched:,} of the objects that remained have no record."
        elif counts.in_ingest:
            reason = f"No report has the outcome of {counts.in_ingest:,} records."
        lines += [
            ("ingested", batch.ingest_oks, counts.ingested, reason),
            ("failed", batch.ingest_errs, failed, reason),
        ]
    for line, stored, counted, reason in lines:
        if stored is not None and stored != counted:
            yield Difference(line, stored, counted, reason)
